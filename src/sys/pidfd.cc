#include "sys/pidfd.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead {

SysResult<PidFd> PidFd::open(HostPid pid) noexcept {
  const long fd = ::syscall(SYS_pidfd_open, pid.value(), 0U);
  if (fd < 0) return sys_fail("pidfd_open");
  return PidFd(Fd(static_cast<int>(fd)), pid);
}

Result<PidFd> PidFd::open_same(HostPid pid, std::uint64_t start_time) {
  TRY_ASSIGN(PidFd process, open(pid));
  // Read after the open: the pidfd pins the identity, so a start time read now is this process's.
  TRY_ASSIGN(const std::uint64_t observed, start_time_of(pid));
  if (observed != start_time) return std::unexpected(Error(SysError{"pidfd_open", ESRCH}));
  return process;
}

SysResult<void> PidFd::send_signal(int signal) const noexcept {
  if (::syscall(SYS_pidfd_send_signal, fd_.get(), signal, nullptr, 0U) != 0)
    return sys_fail("pidfd_send_signal");
  return {};
}

bool PidFd::has_exited() const noexcept {
  struct pollfd item{fd_.get(), POLLIN, 0};
  return ::poll(&item, 1, 0) == 1;
}

bool PidFd::is_ending() const noexcept {
  constexpr unsigned long kExiting = 0x4;
  char path[32];
  (void)std::snprintf(path, sizeof path, "/proc/%d/stat", pid_.value());
  std::array<char, 1024> buffer;
  const auto stat = read_small_file_at(AT_FDCWD, path, buffer);
  if (!stat) return has_exited();
  // The name in field 2 may hold spaces and parentheses: count from its last ')'.
  std::string_view rest = stat->substr(std::min(stat->rfind(')'), stat->size() - 1) + 1);
  next_field(rest, ' ');
  for (int field = 3; field < 9; ++field) next_field(rest, ' ');
  const auto flags = parse_number<unsigned long>(next_field(rest, ' '));
  return (flags && (*flags & kExiting) != 0) || has_exited();
}

std::optional<int> PidFd::wait_status_of_stranger() const noexcept {
  // struct pidfd_info of the kernel, Linux 6.13; the exit status of a reaped process since 6.15.
  struct ProcessInfo {
    std::uint64_t mask = 0;
    std::uint64_t cgroup = 0;
    std::uint32_t ids[11] = {};
    std::int32_t exit_code = 0;
  };
  constexpr std::uint64_t kInfoExit = 1U << 3;
  ProcessInfo info;
  info.mask = kInfoExit;
  if (::ioctl(get(), _IOWR(0xFF, 11, ProcessInfo), &info) != 0) return std::nullopt;
  if ((info.mask & kInfoExit) == 0) return std::nullopt;
  return info.exit_code;
}

SysResult<ExitStatus> PidFd::wait() const noexcept {
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(fd_.get()), &info, WEXITED) != 0)
    if (errno != EINTR) return sys_fail("waitid");
  if (info.si_code == CLD_EXITED) return ExitStatus{info.si_status, 0};
  return ExitStatus{0, info.si_status};
}

Result<std::uint64_t> start_time_of(HostPid pid) {
  const std::string path = "/proc/" + std::to_string(pid.value()) + "/stat";
  TRY_ASSIGN(const std::string stat, read_file_at(AT_FDCWD, path.c_str()));
  // The name in field 2 may hold spaces and parentheses: count from its last ')'.
  const std::size_t name_end = stat.rfind(')');
  if (name_end != std::string::npos) {
    std::string_view rest = std::string_view(stat).substr(name_end + 1);
    next_field(rest, ' ');
    for (int field = 3; field < 22; ++field) next_field(rest, ' ');
    if (const auto ticks = parse_number<std::uint64_t>(next_field(rest, ' '))) return *ticks;
  }
  return fail(ErrorKind::kSystem, path + ": not in the format of proc(5)");
}

}  // namespace bulkhead
