#include "isolation/seccomp/seccomp.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

#include "base/text.h"
#include "isolation/seccomp/compiler.h"
#include "isolation/seccomp/handover.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

constexpr std::uint32_t kWaitKillable = 1U << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

Result<void> check_kernel(const seccomp::Profile& profile, const HostFacts& host) {
  const auto older_than = [&](int major, int minor) {
    return host.kernel_major < major || (host.kernel_major == major && host.kernel_minor < minor);
  };
  if (profile.notifies && older_than(5, 0))
    return fail(ErrorKind::kUnsupported, "linux.seccomp: SCMP_ACT_NOTIFY needs Linux 5.0");
  if ((profile.flags & kWaitKillable) != 0 && older_than(5, 19))
    return fail(ErrorKind::kUnsupported,
                "linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs Linux 5.19",
                "leave the flag out");
  return {};
}

// What /proc/PID/status says about seccomp.
struct Status {
  unsigned mode = 0;
  unsigned filters = 0;
};

std::optional<unsigned> status_number(std::string_view status, std::string_view key) noexcept {
  const std::size_t at = status.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = status.substr(at + key.size());
  return parse_number<unsigned>(trim(rest.substr(0, rest.find('\n'))));
}

// All of the file: a process may have tens of thousands of groups, which stand before what we want.
SysResult<Status> read_status(const char* path) noexcept {
  const auto file = open_at(AT_FDCWD, path, O_RDONLY);
  if (!file) return std::unexpected(file.error());
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const auto size = read_up_to(file->get(), buffer.data(), buffer.size());
    if (!size) return std::unexpected(size.error());
    text.append(buffer.data(), *size);
    if (*size < buffer.size()) break;
  }
  Status status;
  const auto mode = status_number(text, "\nSeccomp:");
  if (!mode) return not_held("/proc/PID/status has no line Seccomp");
  status.mode = *mode;
  // Linux 5.9; without the line, the mode alone must do.
  status.filters = status_number(text, "\nSeccomp_filters:").value_or(0);
  return status;
}

}  // namespace

Result<Seccomp::Plan> Seccomp::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  const auto& wanted = request.spec.linux_.seccomp;
  if (!wanted) return plan;
  TRY_ASSIGN(seccomp::Profile profile, seccomp::read_profile(*wanted));
  TRY(check_kernel(profile, host));
  TRY_ASSIGN(plan.decisions, seccomp::decide(profile));
  TRY_ASSIGN(plan.program, seccomp::compile(plan.decisions));
  plan.enabled = true;
  plan.flags = profile.flags;
  plan.notifies = profile.notifies;
  if (plan.notifies) {
    plan.listener_path = wanted->listener_path;
    plan.listener_metadata = wanted->listener_metadata;
  }
  plan.unknown_names = std::move(profile.unknown_names);
  plan.foreign_architectures = std::move(profile.foreign_architectures);
  plan.remarks = std::move(profile.remarks);
  return plan;
}

SysResult<void> Seccomp::apply(const Plan& plan, ChildContext& child) noexcept {
  if (!plan.enabled) return {};
  const sock_fprog program{static_cast<unsigned short>(plan.program.size()),
                           const_cast<sock_filter*>(plan.program.data())};
  if (plan.notifies) return seccomp::install_and_hand_over(program, plan.flags, child.parent);
  const long result = seccomp::install(program, plan.flags);
  if (result < 0) return sys_fail_with(static_cast<int>(-result), "seccomp(SET_MODE_FILTER)");
  // TSYNC answers with a thread that could not follow.
  if (result > 0) return sys_fail_with(EBUSY, "seccomp(SET_MODE_FILTER): another thread");
  return {};
}

SysResult<void> Seccomp::verify(const Plan& plan, ChildContext&) noexcept {
  if (!plan.enabled) return {};
  const int mode = ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
  if (mode < 0) return sys_fail("prctl(PR_GET_SECCOMP)");
  if (mode != SECCOMP_MODE_FILTER) return not_held("prctl(PR_GET_SECCOMP) shows no filter");
  return {};
}

SysResult<void> Seccomp::verify_in_parent(const Plan& plan, const PidFd& process) noexcept {
  if (!plan.enabled) return {};
  const auto guarded = verify_in_parent(plan, process.pid());
  // A program that was short, or that its own filter has killed: the dead are under no filter, and
  // once reaped there is nothing to look at. That the filter was installed is known from the child's
  // not having said otherwise. Any other refusal to look is none of the program's.
  if (guarded) return {};
  const int error = guarded.error().error;
  const bool looks_dead = error == ENOENT || error == ESRCH || error == EBADE;
  if (looks_dead && process.is_ending()) return {};
  return guarded;
}

SysResult<void> Seccomp::verify_in_parent(const Plan& plan, HostPid pid) noexcept {
  if (!plan.enabled) return {};
  char path[32];
  char* end = std::to_chars(path + 6, path + sizeof path - 8, pid.value()).ptr;
  std::memcpy(path, "/proc/", 6);
  std::memcpy(end, "/status", 8);
  const auto status = read_status(path);
  if (!status) return sys_fail_with(status.error().error, status.error().call, "/proc/PID/status");
  if (status->mode != SECCOMP_MODE_FILTER)
    return not_held("/proc/PID/status shows that the process is under no seccomp filter");
  unsigned own_filters = 0;
  if (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0) {
    const auto own = read_status("/proc/self/status");
    if (!own) return std::unexpected(own.error());
    own_filters = own->filters;
    if (status->filters == 0) return {};  // before Linux 5.9 there is no count to compare
  }
  if (status->filters != 0 && status->filters <= own_filters)
    return not_held("/proc/PID/status shows no seccomp filter beyond the runtime's own");
  return {};
}

}  // namespace bulkhead::isolation
