#include "runtime/exec_group.h"

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "isolation/cgroup/directory.h"
#include "isolation/cgroup/parent.h"
#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

namespace cgroup = isolation::cgroup;

// Those that die of SIGKILL do it within this; whoever does not hangs in the kernel.
constexpr std::uint64_t kDeathMilliseconds = 5000;

// The v2 group of a record: the one without a name of controllers.
std::string unified_of(std::span<const std::string> record) {
  for (const std::string& entry : record)
    if (entry.starts_with(':')) return entry.substr(1);
  return {};
}

}  // namespace

Result<ExecGroup> ExecGroup::make(std::span<const std::string> record, std::string_view name) {
  ExecGroup group;
  const std::string above = unified_of(record);
  if (above.empty() || ::access((above + "/cgroup.procs").c_str(), F_OK) != 0) {
    group.record_.assign(record.begin(), record.end());
    return group;
  }
  group.path_ = above + "/" + std::string(name);
  if (::mkdir(group.path_.c_str(), 0755) != 0) {
    if (errno != EEXIST)
      return std::unexpected(Error(SysError{"mkdir", errno, group.path_.c_str()}));
    group.kill_all();
  }
  auto directory = open_at(AT_FDCWD, group.path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) return std::unexpected(Error(directory.error()).within(group.path_));
  group.directory_ = *std::move(directory);
  return group;
}

void ExecGroup::kill_all() const noexcept {
  // Linux 5.14: catches what forks meanwhile.
  if (write_file_at(AT_FDCWD, (path_ + "/cgroup.kill").c_str(), "1")) return;
  cgroup::Patience patience(kDeathMilliseconds);
  do {
    const auto processes = cgroup::processes_in(path_);
    if (!processes || processes->empty()) return;
    for (const HostPid pid : *processes) (void)::kill(pid.value(), SIGKILL);
  } while (patience.wait());
}

void ExecGroup::kill(const PidFd& process) const noexcept {
  if (process) (void)process.send_signal(SIGKILL);
  if (!path_.empty()) return kill_all();
  if (!process) return;
  const auto groups = isolation::CgroupSet::name(record_);
  if (!groups) return;
  const auto processes = groups->processes();
  if (!processes) return;
  for (const HostPid pid : *processes) {
    if (::getsid(pid.value()) != process.pid().value()) continue;
    // Held, and looked at again: the number may be another's by now.
    const auto held = PidFd::open(pid);
    if (held && ::getsid(pid.value()) == process.pid().value()) (void)held->send_signal(SIGKILL);
  }
}

void ExecGroup::end(const PidFd& process) noexcept {
  kill(process);
  if (path_.empty()) return;
  directory_.reset();
  cgroup::Patience patience(kDeathMilliseconds);
  while (!cgroup::remove_tree(path_) && patience.wait()) continue;
}

}  // namespace bulkhead::runtime
