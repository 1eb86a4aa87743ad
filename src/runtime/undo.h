// Undoes a creation or restore that fails half way: the cgroups, then the record and with it the id.
// Once hooks may have run, the poststop hooks end what they have begun.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "isolation/cgroup/parent.h"
#include "oci/spec.h"
#include "runtime/record.h"

namespace bulkhead::runtime {

class Undo {
 public:
  explicit Undo(ContainerDirectory directory) : directory_(std::move(directory)) {}
  ~Undo();
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;

  ContainerDirectory& directory() { return *directory_; }
  isolation::CgroupSet& cgroups() { return cgroups_; }
  // systemd has been asked to make the scope of this container.
  void stop_with(Record scope) { scope_ = std::move(scope); }
  void leave_resctrl(std::vector<std::string> directories) { resctrl_ = std::move(directories); }
  void end_with_hooks(std::span<const oci::Hook> poststop, std::string stopped_state) {
    poststop_ = poststop;
    stopped_state_ = std::move(stopped_state);
  }
  // It has succeeded: nothing is undone any more.
  void release(std::optional<ContainerDirectory>& directory, isolation::CgroupSet& cgroups);

 private:
  std::optional<ContainerDirectory> directory_;
  isolation::CgroupSet cgroups_;
  std::optional<Record> scope_;
  std::vector<std::string> resctrl_;
  std::span<const oci::Hook> poststop_;
  std::string stopped_state_;
};

}  // namespace bulkhead::runtime
