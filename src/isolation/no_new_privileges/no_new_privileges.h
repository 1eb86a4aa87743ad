// no-new-privileges: nothing in the container gains privilege through execve(2).
//
// Stops:    setuid and setgid binaries and file capabilities in a hostile image (THREAT_MODEL T4).
// Does not: drop privileges that are held already; that is for the capabilities.
// Kernel:   prctl(PR_SET_NO_NEW_PRIVS), Linux 3.5; irrevocable, inherited by fork and execve.
// Order:    before Landlock and seccomp, which a process without CAP_SYS_ADMIN may not install
//           without it; after the LSM label, whose change at execve it could forbid.
#pragma once

#include "isolation/layer.h"

namespace bulkhead::isolation {

struct LsmLabel;

struct NoNewPrivileges {
  static constexpr std::string_view kName = "no new privileges";
  static constexpr Card kCard{
      .stops = "setuid and setgid binaries and file capabilities of the image",
      .does_not_stop = "using privileges that are held already",
      .kernel = "prctl(PR_SET_NO_NEW_PRIVS), Linux 3.5",
      .order = "before Landlock and seccomp, which may need it",
  };
  using After = LayerList<LsmLabel>;

  struct Plan {
    bool enabled = false;
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
