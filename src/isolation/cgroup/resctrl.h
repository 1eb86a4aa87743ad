// Shares of the processor's cache and memory bandwidth (Intel RDT, AMD QoS): the container's processes
// in a group of the resctrl file system.
//
// Stops:    a neighbour evicting the container's cache lines, or taking the memory bus; with caches
//           that do not overlap, some of what cache timing tells.
// Does not: partition the first and second level caches, TLBs or branch predictors.
// Kernel:   resctrl, Linux 4.10; monitoring groups 4.14. Mounted by the host's administrator.
// Order:    all of it is the parent's: after clone, before the program; what the container forks
//           stays in the group. /linux/intelRdt of the runtime specification.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::isolation {

struct ResctrlPlan {
  std::string group;                  // "/sys/fs/resctrl/ID"
  bool must_exist = false;            // a class that the administrator has set up
  bool own = false;                   // made for this container alone, and removed with it
  std::vector<std::string> schemata;  // lines, without their ends
  std::string monitoring;             // a monitoring group of the container's own; empty: none
};

// Where resctrl is mounted, from the text of /proc/self/mountinfo.
std::optional<std::string> resctrl_mount(std::string_view mountinfo);

// Nothing when the spec does not ask. kUnsupported when it does and `mount` is none.
Result<std::optional<ResctrlPlan>> describe_resctrl(const oci::Spec& spec,
                                                    std::string_view container_id,
                                                    const std::optional<std::string>& mount);

// Makes the group with its shares, puts the process in, and reads both back. What it made is gone
// again when it fails.
Result<void> join_resctrl(const ResctrlPlan& plan, HostPid process);

// The directories to remove with the container, innermost first.
std::vector<std::string> resctrl_record(const ResctrlPlan& plan);
// What is gone already is fine.
Result<void> remove_resctrl(const std::vector<std::string>& record);

}  // namespace bulkhead::isolation
