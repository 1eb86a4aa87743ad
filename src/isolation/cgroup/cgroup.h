// cgroup limits: a group of its own for the container in every cgroup hierarchy of the host (v1, v2
// or both side by side), carrying the limits that the spec asks for.
//
// Stops:    one container using up the host's memory, processes, CPU time, disk bandwidth or huge
//           pages (THREAT_MODEL T6), and the opening of devices that are not on its list.
// Does not: limit what is not accounted to a group: page cache shared with others, kernel work done
//           on behalf of others, network bandwidth.
// Kernel:   cgroup v1; v2 4.5+ (CLONE_INTO_CGROUP 5.7, cgroup.kill 5.14); device programs 4.15.
// Order:    before the cgroup namespace, whose root is the group at the moment of unshare; before
//           the cgroup mounts, which show the group.
//
// The parent makes the groups and writes the limits (parent.h); the child joins them by writing "0"
// into membership files that the parent opened: a single-threaded process that moves itself does
// not wait for the kernel to quiesce, one that is moved by another does, for up to 30 ms.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "isolation/cgroup/device_policy.h"
#include "isolation/cgroup/systemd_unit.h"
#include "isolation/layer.h"

namespace bulkhead::isolation {

enum class CgroupVersion { kV1, kV2 };

// One value for one file of a group.
struct CgroupSetting {
  enum class IfMissing {
    kRefuse,  // the kernel must have the file
    kSkip,    // a second form of the previous setting, which newer kernels have
    kOneOf,   // of consecutive settings with this mark and the same `why`, the kernel must have one
  };
  std::string file;   // "memory.limit_in_bytes"
  std::string value;  // each line is a write(2) of its own
  std::string why;    // the field that asked for it: "/linux/resources/memory/limit"
  IfMissing if_missing = IfMissing::kRefuse;
  // The kernel is known to accept and ignore the value: it is read back and compared.
  bool read_back = false;
};

// The container's group in one hierarchy.
struct CgroupGroup {
  CgroupVersion version = CgroupVersion::kV1;
  std::string controllers;  // as /proc/self/cgroup has it: "cpu,cpuacct", "name=systemd"; v2: empty
  std::string mount_point;  // "/sys/fs/cgroup/cpu"
  std::string path;         // beneath it: "/bulkhead-runtime/ID"
  std::string directory;    // both together
  std::string membership;   // directory + "/tasks" (v1), "/cgroup.procs" (v2)
  std::string
      proc_entry;  // what /proc/PID/cgroup says after the number, "cpu:/bulkhead-runtime/ID"
  std::vector<CgroupSetting> settings;
  std::vector<std::string> needed_controllers;  // v2: to be enabled for the settings
  std::vector<std::string> wanted_controllers;  // v2: for accounting, where the kernel lets us
  std::optional<cgroup::DevicePolicy> device_program;  // v2
  // Nothing must be set here, and this process may lack the right to make a group: then the
  // container stays in its caller's.
  bool may_stay = false;
  std::string stay_entry;  // as proc_entry, for the caller's group

  // The name for people: "memory", "cgroup v2".
  std::string name() const { return version == CgroupVersion::kV2 ? "cgroup v2" : controllers; }
  bool has_controller(std::string_view controller) const;
};

struct CgroupLimits {
  static constexpr std::string_view kName = "cgroup limits";
  static constexpr Card kCard{
      .stops =
          "using up the host's memory, processes, CPU time, disk bandwidth; opening devices "
          "that are not on the container's list",
      .does_not_stop = "what the kernel does not account to a group; network bandwidth",
      .kernel =
          "cgroup v1; cgroup v2, Linux 4.5 (joined by clone3 from 5.7); eBPF device programs "
          "4.15",
      .order = "before the cgroup namespace, whose root is the group at that moment",
  };
  using After = LayerList<>;

  struct Plan {
    Standing standing = Standing::kApplied;
    std::string reason;
    std::vector<CgroupGroup> groups;  // the v2 group, if any, comes first
    // v2: the container's root owns the group's directory and the files listed in
    // /sys/kernel/cgroup/delegate, so that it may make groups of its own beneath.
    std::optional<HostUid> delegate_to;
    // The systemd driver: the scope that systemd makes around the child, before the rest is done.
    std::optional<cgroup::SystemdUnit> unit;
    std::vector<DbusProperty> unit_properties;
    std::vector<Fact> left_out;  // defaults that this host cannot offer: name, value, why
    std::vector<Fact> facts;
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);

  // The parent gives the membership files of all groups in the order of the plan, without the v2
  // group's when the child was cloned into it (ChildContext::cloned_into_cgroup). The file of a
  // group that could not be made (may_stay) is a descriptor that refuses the write with EBADF.
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;

  // Reads /proc/self/cgroup: the process is in the plan's group of each hierarchy. Right after
  // apply: behind the cgroup namespace every path reads "/", whatever the group.
  static constexpr bool kVerifyAtOnce = true;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;

  // The same from outside, for a process that runs (an exiting one has left its v1 groups).
  static SysResult<void> verify_in_parent(const Plan& plan, HostPid pid) noexcept;
};

}  // namespace bulkhead::isolation
