// cgroup namespace: the container sees its own group as the root of every cgroup hierarchy.
//
// Stops:    reading the host's groups' names from /proc/self/cgroup, and naming groups outside the
//           container's own through a cgroup mount made inside (THREAT_MODEL T7; CVE-2022-0492).
// Does not: limit anything; that is cgroup/. A mount of the host's hierarchy stays what it is.
// Kernel:   unshare(CLONE_NEWCGROUP), 4.6+; setns for one that exists.
// Order:    after the process has joined its groups: the namespace's root is the group at that
// moment
//           (made by clone3 it would be the caller's).
#pragma once

#include "isolation/namespace.h"

namespace bulkhead::isolation {

struct CgroupLimits;
struct UserNamespace;

struct CgroupNamespace {
  static constexpr std::string_view kName = "cgroup namespace";
  static constexpr Card kCard{
      .stops = "seeing the names of the host's groups; naming groups outside the container's own",
      .does_not_stop = "using resources: that is the limits' affair",
      .kernel = "unshare(CLONE_NEWCGROUP), Linux 4.6; setns",
      .order =
          "after the groups are joined, because the namespace's root is the group at that moment",
  };
  using After = LayerList<UserNamespace, CgroupLimits>;
  using Plan = NamespacePlan;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  // A new one: also that every path in /proc/self/cgroup is "/", the container's group being the
  // root.
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
