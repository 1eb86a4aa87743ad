// What is done to a container's groups as a whole: freezing, signals, removal, and the reason of a
// death by their limits.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "isolation/cgroup/directory.h"
#include "isolation/cgroup/parent.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

using cgroup::Patience;
using cgroup::value_of;

constexpr int kFreezeMilliseconds = 10'000;
constexpr int kRemoveMilliseconds = 5'000;

Result<void> write_value(const std::string& directory, const char* file, std::string_view value) {
  const std::string path = directory + "/" + file;
  const auto written = write_file_at(AT_FDCWD, path.c_str(), value);
  if (!written)
    return std::unexpected(
        Error(SysError{written.error().call, written.error().error, path.c_str()}));
  return {};
}

// v1 reports no changes: the state is asked for, at growing intervals. A process that forks while
// the freezer walks the group is found by the next reading.
Result<void> freeze_v1(const std::string& directory) {
  Patience patience(kFreezeMilliseconds);
  do {
    TRY(write_value(directory, "freezer.state", "FROZEN"));
    if (value_of(directory, "freezer.state").value_or("") == "FROZEN") return {};
  } while (patience.wait());
  TRY(write_value(directory, "freezer.state", "THAWED"));
  return fail(ErrorKind::kSystem,
              "the processes in " + directory + " could not be frozen within 10 seconds");
}

Result<void> freeze_v2(const std::string& directory) {
  TRY(write_value(directory, "cgroup.freeze", "1"));
  if (cgroup::wait_for_event(directory, "frozen", 1, kFreezeMilliseconds)) return {};
  TRY(write_value(directory, "cgroup.freeze", "0"));
  return fail(ErrorKind::kSystem,
              "the processes in " + directory + " could not be frozen within 10 seconds");
}

bool can_freeze_v2(const std::string& directory) {
  return ::access((directory + "/cgroup.freeze").c_str(), F_OK) == 0;
}

// SIGKILL or another signal to every process there is now. While the group is frozen none of them
// can fork or exit, so that no pid is missed or used again; the signals take effect on thawing.
Result<std::size_t> signal_once(const std::string& directory, int signal) {
  TRY_ASSIGN(const std::vector<HostPid> processes, cgroup::processes_in(directory));
  for (const HostPid pid : processes)
    if (::kill(pid.value(), signal) != 0 && errno != ESRCH)
      return std::unexpected(
          Error(SysError{"kill", errno}).within("pid " + std::to_string(pid.value())));
  return processes.size();
}

}  // namespace

const CgroupSet::Group* CgroupSet::any_group() const {
  if (const Group* group = unified()) return group;
  if (const Group* group = group_with("freezer")) return group;
  if (const Group* group = group_with("pids")) return group;
  return groups_.empty() ? nullptr : &groups_.front();
}

Result<std::vector<HostPid>> CgroupSet::processes() const {
  const Group* group = any_group();
  if (group == nullptr) return std::vector<HostPid>();
  return cgroup::processes_in(group->directory);
}

Result<void> CgroupSet::freeze() const {
  if (const Group* group = unified(); group != nullptr && can_freeze_v2(group->directory))
    return freeze_v2(group->directory);
  if (const Group* group = group_with("freezer")) return freeze_v1(group->directory);
  return fail(ErrorKind::kUnsupported, "the container has no group that can be frozen",
              "pausing needs the cgroup v1 freezer, or cgroup v2 of Linux 5.2");
}

// Ours is frozen by v2 where there is one; beside it somebody else may have used v1's freezer.
Result<void> CgroupSet::thaw() const {
  const Group* const v2 = unified();
  const Group* const v1 = group_with("freezer");
  const bool by_v2 = v2 != nullptr && can_freeze_v2(v2->directory);
  if (!by_v2 && v1 == nullptr)
    return fail(ErrorKind::kUnsupported, "the container has no group that can be thawed");
  if (by_v2) {
    TRY(write_value(v2->directory, "cgroup.freeze", "0"));
    (void)cgroup::wait_for_event(v2->directory, "frozen", 0, kFreezeMilliseconds);
  }
  if (v1 != nullptr && (!by_v2 || value_of(v1->directory, "freezer.state") != "THAWED"))
    return write_value(v1->directory, "freezer.state", "THAWED");
  return {};
}

Result<bool> CgroupSet::frozen() const {
  if (const Group* group = unified(); group != nullptr && can_freeze_v2(group->directory))
    if (cgroup::number_in(value_of(group->directory, "cgroup.events").value_or(""), "frozen") == 1)
      return true;
  if (const Group* group = group_with("freezer"))
    return value_of(group->directory, "freezer.state").value_or("THAWED") != "THAWED";
  return false;
}

Result<void> CgroupSet::signal_all(int signal) const {
  const Group* group = any_group();
  if (group == nullptr) return {};
  if (signal == SIGKILL && group->version == CgroupVersion::kV2) {
    // Linux 5.14: one write that also catches what forks meanwhile. It reaches frozen processes.
    const auto killed = write_file_at(AT_FDCWD, (group->directory + "/cgroup.kill").c_str(), "1");
    if (killed) return {};
    if (killed.error().error == ENODEV) return {};
  }
  const auto was_frozen = frozen();
  if (was_frozen && *was_frozen) {
    TRY(signal_once(group->directory, signal));
    return signal == SIGKILL ? thaw() : Result<void>();
  }
  if (signal != SIGKILL) {
    TRY(signal_once(group->directory, signal));
    return {};
  }
  // Without a freezer the rounds end when none is left that a fork could have made.
  const bool can_freeze = static_cast<bool>(freeze());
  Patience patience(kRemoveMilliseconds);
  for (;;) {
    const auto count = signal_once(group->directory, signal);
    if (can_freeze) TRY(thaw());
    if (!count) return std::unexpected(count.error());
    if (*count == 0 || can_freeze) return {};
    if (!patience.wait())
      return fail(ErrorKind::kState, "processes in " + group->directory + " survive SIGKILL");
  }
}

Result<void> CgroupSet::remove(std::span<const std::string> kept) const {
  Patience patience(kRemoveMilliseconds);
  // v2 says when the last process has gone; whoever outlives that wait is not about to go.
  if (const Group* group = unified();
      group != nullptr &&
      !cgroup::wait_for_event(group->directory, "populated", 0, kRemoveMilliseconds))
    patience = Patience(0);
  for (const Group& group : groups_) {
    if (std::find(kept.begin(), kept.end(), group.controllers + ":" + group.directory) !=
        kept.end())
      continue;
    for (;;) {
      const auto removed = cgroup::remove_tree(group.directory);
      if (removed) break;
      if (removed.error().error == EBUSY && patience.wait()) continue;
      if (removed.error().error != EBUSY)
        return std::unexpected(
            Error(SysError{"rmdir", removed.error().error, group.directory.c_str()}));
      const auto left = cgroup::processes_in(group.directory);
      return fail(ErrorKind::kState,
                  "removing " + group.directory + ": " + std::to_string(left ? left->size() : 0) +
                      " process(es) still live in it",
                  "end them, or delete the container with --force");
    }
  }
  return {};
}

namespace {

bool mentions(const Error& error, int number) {
  return error.message().find(errno_text(number)) != std::string::npos;
}

}  // namespace

// A limit shows as a kill, as ENOMEM or as EAGAIN of a system call; the two errors have other
// reasons too, so that the group's own counters decide.
Error CgroupSet::explain_start_failure(Error fallback) const {
  const Group* v2 = unified();
  std::string limit;
  std::uint64_t kills = 0;
  std::uint64_t refusals = 0;
  if (const Group* group = group_with("memory")) {
    kills =
        cgroup::number_in(value_of(group->directory, "memory.oom_control").value_or(""), "oom_kill")
            .value_or(0);
    refusals = cgroup::number_of(group->directory, "memory.failcnt").value_or(0);
    limit = value_of(group->directory, "memory.limit_in_bytes").value_or("");
  } else if (v2 != nullptr) {
    const std::string events = value_of(v2->directory, "memory.events").value_or("");
    kills = cgroup::number_in(events, "oom_kill").value_or(0) +
            cgroup::number_in(events, "oom").value_or(0);
    refusals = cgroup::number_in(events, "max").value_or(0);
    limit = value_of(v2->directory, "memory.max").value_or("");
  }
  if (kills > 0 || (refusals > 0 && mentions(fallback, ENOMEM)))
    return Error(ErrorKind::kSystem,
                 "the memory limit of " + limit + " bytes is too small to start the container (" +
                     fallback.message() + ")",
                 "raise /linux/resources/memory/limit");
  const Group* pids = group_with("pids");
  if (pids == nullptr) pids = v2;
  if (pids != nullptr && mentions(fallback, EAGAIN) &&
      cgroup::number_in(value_of(pids->directory, "pids.events").value_or(""), "max").value_or(0) >
          0)
    return Error(ErrorKind::kSystem,
                 "the limit of " + value_of(pids->directory, "pids.max").value_or("") +
                     " processes is too small to start the container (" + fallback.message() + ")",
                 "raise /linux/resources/pids/limit");
  return fallback;
}

}  // namespace bulkhead::isolation
