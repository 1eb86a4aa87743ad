// Devices: the few device nodes that every program expects, and those that were asked for.
//
// Stops:         raw disks, memory and other hardware being there to open; a node of another device
//                passing for /dev/null.
// Does not stop: opening a device whose node the container makes itself (mknod): the device cgroup,
// the
//                bounding set without CAP_MKNOD and nodev mounts do.
// Kernel:        mknodat(2); where that is not allowed (user namespaces) the host's own node is
// bound:
//                open_tree and move_mount, Linux 5.2.
// Order:         after the mounts, because /dev is one; before the root switch, because binding
//                needs the host's nodes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "isolation/layer.h"
#include "isolation/mounts/place.h"

namespace bulkhead::isolation {

struct DeviceNodePlan {
  Place place;
  std::string source;      // on the host, for binding: the same path
  std::uint32_t type = 0;  // S_IFCHR, S_IFBLK or S_IFIFO
  std::uint32_t mode = 0666;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

struct DeviceLinkPlan {
  Place place;
  const char* target = "";
};

enum class DeviceMethod {
  kMake,       // mknod; bound where that is refused
  kBind,       // a user namespace: mknod is known to be refused
  kOnlyCheck,  // /dev is bound from elsewhere: nothing is made in it
};

struct DevicesPlan {
  DeviceMethod method = DeviceMethod::kMake;
  std::vector<DeviceNodePlan> nodes;
  std::vector<DeviceLinkPlan> links;
};

struct Devices {
  static constexpr std::string_view kName = "devices";
  static constexpr Card kCard{
      "hardware being there to open; a node of another device passing for /dev/null",
      "opening a device whose node the container makes itself (the device cgroup does)",
      "mknodat(2); or the host's node bound by open_tree and move_mount, Linux 5.2",
      "after the mounts, because /dev is one; before the root switch: binding needs the host's "
      "nodes"};
  using Plan = DevicesPlan;
  using After = LayerList<struct EarlyMounts, struct LateMounts>;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
