// Mount namespace: the container has a list of mounts of its own, from which nothing reaches the
// host.
//
// Stops:         a mount or unmount inside being seen by the host or by another container; the
//                container's mounts being found from the host's paths.
// Does not stop: reading the host's files through mounts that are still there: root_switch takes
// those
//                away. A volume whose own option is "shared" does propagate, that one only.
// Kernel:        unshare(CLONE_NEWNS), 2.4.19; propagation modes, 2.6.15.
// Order:         after the user namespace, which must own it; before everything that mounts.
#pragma once

#include <cstdint>

#include "isolation/layer.h"
#include "isolation/namespace.h"

namespace bulkhead::isolation {

struct MountNamespacePlan {
  NamespacePlan space;
  // MS_SLAVE or MS_PRIVATE of all mounts inherited from the host. With "shared" as the wish for the
  // root file system they are slaves here too: root_switch makes the container's root shared.
  std::uint64_t propagation = 0;
};

struct MountNamespace {
  static constexpr std::string_view kName = "mount namespace";
  static constexpr Card kCard{
      "mounts and unmounts inside being seen outside, and the other way round",
      "reading what is still mounted; volumes that are asked to be shared",
      "unshare(CLONE_NEWNS), Linux 2.4.19; propagation modes, 2.6.15",
      "after the user namespace, which must own it; before everything that mounts"};
  using Plan = MountNamespacePlan;
  using After = LayerList<struct UserNamespace>;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
