// seccomp: which system calls the container's programs may make at all.
//
// Stops:    system calls that the profile does not allow, whoever makes them and with whatever
//           privilege: the part of the kernel that a hostile program can reach (THREAT_MODEL T1).
// Does not: look behind pointers (paths, sockaddr, clone3's flags), judge arguments of i386's
//           socketcall and ipc, or take back what a call that is allowed can do.
// Kernel:   seccomp(2) SECCOMP_SET_MODE_FILTER, 3.17+; notifications 5.0+.
// Order:    the last act before execve: nothing but execve runs under the filter, so that a profile
//           need not allow what the set-up needs. After no-new-privileges or with CAP_SYS_ADMIN,
//           one of which the kernel asks for.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "isolation/layer.h"
#include "isolation/seccomp/decisions.h"
#include "sys/pidfd.h"

namespace bulkhead::isolation {

struct Capabilities;
struct Descriptors;
struct Landlock;
struct NoNewPrivileges;
struct WorkingDirectory;

struct Seccomp {
  static constexpr std::string_view kName = "seccomp";
  static constexpr Card kCard{
      .stops = "system calls outside the profile, by any ABI of this kernel (64-bit, 32-bit, x32)",
      .does_not_stop = "what an allowed call can do; arguments behind pointers",
      .kernel = "seccomp(2) filters, Linux 3.17; notifications 5.0",
      .order = "the very last act before execve, so that the profile need not allow the set-up",
  };
  using After = LayerList<Capabilities, NoNewPrivileges, Descriptors, WorkingDirectory, Landlock>;

  struct Plan {
    bool enabled = false;
    std::vector<sock_filter> program;  // as loaded: at most BPF_MAXINSNS instructions
    std::uint32_t flags = 0;           // SECCOMP_FILTER_FLAG_*
    // A rule says SCMP_ACT_NOTIFY: the kernel makes a listener descriptor, which apply hands to the
    // parent by ChildContext's send_descriptor under kListenerPurpose; the parent passes it on
    // (listener.h) before it acknowledges.
    bool notifies = false;
    std::string listener_path;
    std::string listener_metadata;
    // Names in the profile that this build does not know: skipped, as the runtime specification
    // says; the caller warns. bulkhead refuses them in its own files.
    std::vector<std::string> unknown_names;
    // For explain.
    std::vector<std::string> foreign_architectures;  // listed, and without meaning on this kernel
    std::vector<std::string> remarks;
    seccomp::Decisions decisions;
  };
  static constexpr std::string_view kListenerPurpose = "seccomp";

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);

  // Between the seccomp(2) that installs the filter and the return there is no further system call
  // in this thread. On success the caller may only call execve (and exit).
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;

  // Whether this very process is under a filter, by prctl(PR_GET_SECCOMP): one system call, which
  // the profile itself may deny, and then the answer is that nothing is known to hold. A launch
  // therefore asks from outside, by verify_in_parent.
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;

  // Reads /proc/PID/status: mode 2, and one filter more than this process has itself (filters are
  // inherited by fork, so that the difference is the one that apply installed). Valid from the
  // child's return from apply on, also after execve.
  static SysResult<void> verify_in_parent(const Plan& plan, HostPid pid) noexcept;
  // The same of a process that may be dead by now, which then is no failure.
  static SysResult<void> verify_in_parent(const Plan& plan, const PidFd& process) noexcept;
};

}  // namespace bulkhead::isolation
