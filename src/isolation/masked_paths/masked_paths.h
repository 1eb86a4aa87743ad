// Masked and read-only paths: what the kernel shows in /proc and /sys about the host, or lets root
// change there, and no namespace covers.
//
// Stops:         reading what is masked (it is empty) and writing what is read-only, also as root.
// Does not stop: leaks that are not in the list; the same values by system calls.
// Kernel:        bind mounts; one empty read-only tmpfs for all directories, /dev/null, checked to
// be
//                device 1:3, for all files. mount_setattr, Linux 5.12, or a remount.
// Order:         after all mounts, so that none hides a mask; before the root switch.
#pragma once

#include <string>
#include <vector>

#include "isolation/layer.h"
#include "isolation/mounts/place.h"

namespace bulkhead::isolation {

struct MaskedPathsPlan {
  std::vector<Place> masked;
  std::vector<Place> read_only;
  std::string label;  // SELinux mount label of the tmpfs; empty: none
};

struct MaskedPaths {
  static constexpr std::string_view kName = "masked paths";
  static constexpr Card kCard{
      "reading what is masked and writing what is read-only in /proc and /sys, also as root",
      "leaks that are not in the list; the same values by system calls",
      "bind mounts of /dev/null and of one empty read-only tmpfs; mount_setattr, Linux 5.12",
      "after all mounts, so that none hides a mask; before the root switch"};
  using Plan = MaskedPathsPlan;
  using After = LayerList<struct EarlyMounts, struct LateMounts, struct Devices>;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
