// Mounts: what stands in the container's tree beside its root.
//
// Stops:         a destination that leads out of the root, by "..", by a symbolic link of the image
// or
//                by one that is swapped in while it is mounted (CVE-2021-30465); a file system
//                other than procfs passing for /proc (CVE-2019-16884); binds that keep the host's
//                setuid programs and devices when nosuid and nodev were asked for.
// Does not stop: what a bind hands in on purpose. Where the container has no cgroup of its own, the
//                runtime's is shown, read-only.
// Kernel:        openat2, Linux 5.6; fsopen, open_tree, move_mount, 5.2; mount_setattr, 5.12;
//                idmapped mounts, 5.12. mount(2) on descriptors where those are refused.
// Order:         in the specification's order, in two halves: before the first cgroup mount, and
// from
//                it on, because that needs the process in its cgroups, which takes the parent a
//                while; before the cgroup namespace, behind which the groups' paths are not seen.
#pragma once

#include "isolation/layer.h"
#include "isolation/mounts/plan.h"

namespace bulkhead::isolation {

struct EarlyMounts {
  static constexpr std::string_view kName = "mounts";
  static constexpr Card kCard{
      "destinations that lead out of the root; false procfs; setuid and devices on nosuid, nodev "
      "binds",
      "what a bind hands in on purpose",
      "openat2, Linux 5.6; fsopen, open_tree, move_mount, 5.2; mount_setattr and idmaps, 5.12",
      "in the spec's order up to the first cgroup mount; after the root file system"};
  using Plan = MountsPlan;
  using After = LayerList<struct Rootfs>;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

struct LateMounts {
  static constexpr std::string_view kName = "late mounts";
  static constexpr Card kCard{
      "as mounts; and the cgroups of others being seen",
      "what a bind hands in on purpose; the runtime's own cgroup, read-only, where there is no "
      "other",
      "as mounts; cgroup directories are bound from the host's mounts of them",
      "in the spec's order from the first cgroup mount on; after the cgroups are joined, before "
      "the "
      "cgroup namespace hides their paths"};
  using Plan = MountsPlan;
  using After = LayerList<struct EarlyMounts, struct CgroupLimits>;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
