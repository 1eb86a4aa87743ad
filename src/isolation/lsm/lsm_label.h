// lsm_label: the AppArmor profile or SELinux label that the container's program gets by execve.
//
// Stops:    what the host's policy denies to that profile or domain, also to root in the container
//           (writes to /proc/sysrq-trigger, mounts, access to other containers' labelled files).
// Does not: anything by itself: the policy's text decides. Absent where the kernel has no such LSM.
// Kernel:   /proc/self/attr/apparmor/exec (5.8+) or attr/exec; both take effect at execve.
// Order:    before no-new-privileges, which would restrict AppArmor's change of profile; by a
// procfs
//           that is known to be procfs, opened before any content of the container was reachable.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "isolation/layer.h"

namespace bulkhead::isolation {

struct LsmLabel {
  static constexpr std::string_view kName = "lsm label";
  static constexpr Card kCard{
      .stops = "what the host's AppArmor or SELinux policy denies to the container's profile",
      .does_not_stop = "what that policy allows; anything where the kernel has no such LSM",
      .kernel = "/proc/self/attr/apparmor/exec (5.8) or /proc/self/attr/exec",
      .order = "before no-new-privileges; only through the checked procfs",
  };
  using After = LayerList<>;

  struct Plan {
    Standing standing = Standing::kNotApplicable;
    std::string reason;
    std::string apparmor_profile;  // "unconfined" included; empty: none
    std::string apparmor_command;  // what is written: "exec PROFILE"
    std::string warning;           // the profile is loaded, and denies nothing
    std::string selinux_label;     // empty: none; written as it is
    bool enabled() const { return standing == Standing::kApplied; }
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  // Reads back what execve will give, from the same files.
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
