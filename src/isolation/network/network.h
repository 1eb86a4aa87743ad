// network namespace: interfaces, addresses, routes, firewall rules, ports and abstract sockets.
//
// Stops:    using or seeing the host's network: its interfaces, its loopback services, its abstract
//           Unix sockets; changing its routes and firewall.
// Does not: stop Unix sockets that are files (a bind mount shows them), nor limit traffic once the
//           network is connected to something.
// Kernel:   CLONE_NEWNET, Linux 2.6.29; setns 3.0; devices of the host are moved by rtnetlink.
// Order:    after the user namespace, which is to own it; before the mounts (sysfs shows the network
//           namespace of the process that mounts it) and before the sysctls.
#pragma once

#include "isolation/namespace.h"

namespace bulkhead::isolation {

struct UserNamespace;

struct NetworkNamespace {
  static constexpr std::string_view kName = "network namespace";
  static constexpr Card kCard{
      .stops = "the host's interfaces, loopback services, abstract sockets, routes and firewall",
      .does_not_stop = "Unix sockets that are files; traffic over interfaces put into it",
      .kernel = "unshare(CLONE_NEWNET), Linux 2.6.29; setns",
      .order =
          "after the user namespace, which owns it; before sysfs is mounted and before sysctls",
  };
  using After = LayerList<UserNamespace>;
  using Plan = NamespacePlan;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  // A new namespace has its loopback interface raised; it may have been made ahead (ahead.h).
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
