// Root switch: the container's root becomes the process's "/", and the host's tree goes away.
//
// Stops:         reaching any file of the host by path: after pivot_root the old root is unmounted
// and
//                no mount of this namespace leads to it (THREAT_MODEL: chroot escapes).
// Does not stop: what was bound in on purpose, and descriptors of host directories that are still
//                open: the descriptors layer closes those. With --no-pivot the old mounts stay
//                beneath the new root, unreachable by path but there.
// Kernel:        pivot_root(2), Linux 2.4; MNT_DETACH, 2.4.11; mount_setattr, 5.12, or a remount.
// Order:         after all that needs host paths: mounts, devices, console, masks and the
//                createContainer hooks; before sysctls, which are written inside.
#pragma once

#include <cstdint>
#include <string>

#include "isolation/layer.h"

namespace bulkhead::isolation {

struct RootSwitchPlan {
  RootSwitchMethod method = RootSwitchMethod::kPivotRoot;
  bool read_only = false;
  std::uint64_t propagation = 0;  // MS_*; 0: as it is
  bool propagation_recursive = false;
};

struct RootSwitch {
  static constexpr std::string_view kName = "root switch";
  static constexpr Card kCard{
      "reaching the host's files by any path",
      "what was bound in on purpose, and descriptors that are still open",
      "pivot_root, Linux 2.4; mount_setattr, 5.12, or a remount",
      "after all that needs host paths; before sysctls, which are written inside"};
  using Plan = RootSwitchPlan;
  using After = LayerList<struct Rootfs, struct EarlyMounts, struct LateMounts, struct Devices,
                          struct Console, struct MaskedPaths>;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
