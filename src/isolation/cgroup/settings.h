// The limits of the spec as values for files. Pure: (limit, version, moment) -> settings or an
// error that names the field. What a new group has anyway is not written.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "isolation/cgroup/cgroup.h"
#include "oci/spec.h"

namespace bulkhead::isolation::cgroup {

enum class Moment {
  kCreate,  // the group is new: its defaults need not be written
  kUpdate,  // the group may carry anything
};

using Settings = std::vector<CgroupSetting>;

// What belongs to one controller: "cpu", "memory", … For "cpu" without the cpuset fields.
Result<Settings> memory_settings(const oci::MemoryLimits& limits, CgroupVersion version,
                                 Moment moment);
Result<Settings> cpu_settings(const oci::CpuLimits& limits, CgroupVersion version, Moment moment);
Result<Settings> cpuset_settings(const oci::CpuLimits& limits);
Result<Settings> pids_settings(std::int64_t limit, Moment moment);
Result<Settings> block_io_settings(const oci::BlockIoLimits& limits, CgroupVersion version);
Result<Settings> hugetlb_settings(const std::vector<oci::HugepageLimit>& limits,
                                  CgroupVersion version);
Result<Settings> rdma_settings(const std::map<std::string, oci::RdmaLimit>& limits);
Settings class_id_settings(std::uint32_t class_id);
Result<Settings> priority_settings(const std::vector<oci::InterfacePriority>& priorities);
// One entry of `unified`: the setting; the controller is the part of the key before the first dot.
Result<CgroupSetting> unified_setting(const std::string& key, const std::string& value);

// cgroup v1 CPU shares (2 to 262144, 1024 for a normal group) as a v2 weight (1 to 10000, 100 for a
// normal group): a curve through both ends and the normal value.
std::uint64_t weight_of_shares(std::uint64_t shares);

// What of `resources` concerns one controller, in the order in which it is written.
struct ControllerSettings {
  std::string controller;  // "memory"
  CgroupVersion version = CgroupVersion::kV1;
  Settings settings;
};

// Where each controller is on this host.
struct ControllerHomes {
  std::vector<std::pair<std::string, CgroupVersion>> all;
  std::optional<CgroupVersion> home_of(
      std::string_view controller) const;  // nothing: no hierarchy has it
};

// All limits but the device list. A limit whose controller no hierarchy has is an error; with
// `left_out` (limits that are a mere default) it is put there instead.
Result<std::vector<ControllerSettings>> resource_settings(const oci::Resources& resources,
                                                          const ControllerHomes& homes,
                                                          Moment moment,
                                                          std::vector<Fact>* left_out);

}  // namespace bulkhead::isolation::cgroup
