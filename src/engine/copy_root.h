// The files of a container as the container sees them, for `cp`: of one that runs its own mounts, in its
// mount and user namespaces; of any other the mounts that its start would make of its layers and volumes,
// in namespaces that end with whoever entered them. Nothing is attached where others could see it.
#pragma once

#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "engine/containers.h"
#include "engine/options.h"
#include "isolation/mounts/plan.h"
#include "sys/fd.h"
#include "sys/pidfd.h"

namespace bulkhead::engine {

class ContainerRoot {
 public:
  // By name, id or the beginning of an id. One that does not run is held until this is dropped: it cannot
  // be started or removed meanwhile.
  static Result<ContainerRoot> take(const StoreOptions& options, const std::string& name_or_id);

  // In a process of its own (copy_worker.h): afterwards its root directory is the container's, and it has
  // the ids and no more rights than the container's root.
  Result<void> enter() const;
  const ListedContainer& container() const { return container_; }

 private:
  struct Volume {
    Fd tree;
    isolation::MountPlan plan;
  };
  explicit ContainerRoot(ListedContainer container) : container_(std::move(container)) {}
  // False: it has just ended.
  Result<bool> hold_running(const StoreOptions& options);
  // False: it has just been started.
  Result<bool> hold_stopped(const StoreOptions& options);
  Result<void> make_mounts(const StoreOptions& options);
  Result<void> enter_made() const;
  Result<void> attach_volumes() const;

  ListedContainer container_;
  // Of one that runs.
  PidFd init_;
  int namespaces_ = 0;
  // Of any other.
  Fd lock_;
  Fd root_;
  std::vector<Fd> layers_;
  std::vector<Volume> volumes_;
  Fd user_namespace_;
  HostUid first_uid_;
  HostGid first_gid_;
};

}  // namespace bulkhead::engine
