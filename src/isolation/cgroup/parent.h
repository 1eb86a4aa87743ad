// The parent's half of the cgroup layer: the groups as directories. They are made and given their
// limits here, and every later command (delete, ps, pause, update, events) opens them again from
// the record that create left in the container's state.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup/stats.h"
#include "sys/fd.h"

namespace bulkhead::isolation {

// A group for the state record: "memory:/sys/fs/cgroup/memory/bulkhead-runtime/ID"; v2 has nothing
// before the colon. Pure, so that the record can be written before the first directory is made and
// a create that was killed can still be undone.
std::vector<std::string> cgroup_record(const CgroupLimits::Plan& plan);

// A group beneath the container's own, which a process that exec adds is to join.
struct SubGroup {
  std::string controller;  // of cgroup v1; empty: in every hierarchy
  std::string path;
};
// "path", or for some controllers of cgroup v1 "cpu,memory:path". kInvalid for "..".
Result<std::vector<SubGroup>> parse_sub_groups(std::span<const std::string> texts);

class CgroupSet {
 public:
  CgroupSet() = default;

  // Makes every group, all in one; on failure removes what it made. kExists when a group is there
  // already and holds processes.
  static Result<CgroupSet> create(const CgroupLimits::Plan& plan);

  // The same in two steps, for a parent that works beside its child: first the v2 group alone,
  // whose directory clone3(CLONE_INTO_CGROUP) wants, then the v1 groups. When complete() fails, the
  // caller still has to call remove().
  static Result<CgroupSet> prepare(const CgroupLimits::Plan& plan);
  Result<void> complete(const CgroupLimits::Plan& plan);

  // Removes what this object made, the parents above the groups included where they are empty.
  void abandon() noexcept;

  // The groups of an existing container. Those that are gone by now are simply not there.
  static Result<CgroupSet> open(std::span<const std::string> record);
  // The same without looking: for open_membership(), which finds out by itself.
  static Result<CgroupSet> name(std::span<const std::string> record);

  // The v2 group's directory, O_RDONLY, after prepare() or create(); -1 where there is none.
  int unified_directory() const noexcept { return unified_.get(); }

  // For the child, after create() or complete(): open for writing, in the order that
  // CgroupLimits::apply wants. The set keeps them until close_membership().
  Result<std::vector<int>> membership(bool cloned_into_unified);
  void close_membership() noexcept {
    membership_.clear();
    unified_membership_.reset();
  }

  // For exec: membership files of an existing container's groups. `init` is its first process,
  // whose own v2 group is taken when the container has made groups of its own beneath the one it
  // was given (cgroup v2 has no processes in inner groups). `beneath`: sub-groups that were asked
  // for; hierarchies that they do not name are joined as without them.
  Result<std::vector<Fd>> open_membership(HostPid init,
                                          std::span<const SubGroup> beneath = {}) const;

  // Groups that could not be made and need not be: the names, for a warning.
  const std::vector<std::string>& left_out() const noexcept { return left_out_; }
  bool empty() const noexcept { return groups_.empty(); }

  // All processes in the groups, sub-groups included, as this process's pid namespace has them.
  Result<std::vector<HostPid>> processes() const;

  // Stops every process in the group until thaw(). Returns when all have stopped.
  Result<void> freeze() const;
  Result<void> thaw() const;
  Result<bool> frozen() const;

  // `signal` to every process in the group and its sub-groups. SIGKILL reaches also what forks
  // meanwhile, and does not wait for the deaths.
  Result<void> signal_all(int signal) const;

  // Removes the groups, but for those that are `kept` (entries of the record), and what the container
  // made beneath them. Waits a while for processes that are still exiting; kState when some go on
  // living.
  Result<void> remove(std::span<const std::string> kept = {}) const;

  CgroupStats stats() const;  // some fifty files
  std::optional<std::uint64_t> oom_kills() const;
  CgroupUsage usage() const;  // five at most

  // Sets new limits, all of them or none: what was written before a failure is put back as far as
  // the kernel lets us, and the error says what stayed.
  Result<void> update(const oci::Resources& resources) const;

  // Why the container's first process died before it could start: kills by a memory limit that is
  // too small, in a sentence; otherwise `fallback`.
  Error explain_start_failure(Error fallback) const;

 private:
  struct Group {
    CgroupVersion version = CgroupVersion::kV1;
    std::string controllers;
    std::string directory;
    bool has_controller(std::string_view controller) const;
  };
  const Group* group_with(std::string_view controller) const;
  Result<const SubGroup*> sub_group_of(const Group& group, std::span<const SubGroup> beneath) const;
  const Group* unified() const;
  const Group* any_group() const;
  Result<void> make(const CgroupLimits::Plan& plan, std::size_t first, std::size_t last);
  Result<void> hold(const CgroupGroup& group);
  Result<void> check_before_update(const oci::Resources& resources) const;
  Result<void> update_devices(const oci::Resources& resources) const;

  std::vector<Group> groups_;
  std::vector<Fd> membership_;  // of the plan's groups in order
  Fd unified_;                  // the first of groups_, which then has no file in membership_
  Fd unified_membership_;
  std::vector<std::string> made_;  // directories that this object made, outermost first
  std::vector<std::string> left_out_;
};

}  // namespace bulkhead::isolation
