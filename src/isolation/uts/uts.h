// UTS namespace: the host name and the NIS domain name.
//
// Stops:    renaming the host, and learning its name.
// Does not: touch DNS, /etc/hostname or the kernel's version string, which stay visible.
// Kernel:   CLONE_NEWUTS, Linux 2.6.19; sethostname(2), setdomainname(2).
// Order:    after the user namespace, which is to own it: CAP_SYS_ADMIN there sets the names.
#pragma once

#include "isolation/namespace.h"

namespace bulkhead::isolation {

struct UserNamespace;

struct UtsNamespace {
  static constexpr std::string_view kName = "uts namespace";
  static constexpr Card kCard{
      .stops = "renaming the host, and learning its name",
      .does_not_stop = "learning the kernel's version",
      .kernel = "unshare(CLONE_NEWUTS), Linux 2.6.19; setns",
      .order = "after the user namespace, which owns it",
  };
  using After = LayerList<UserNamespace>;

  struct Plan : NamespacePlan {
    std::string hostname;  // empty: as it is
    std::string domainname;
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
