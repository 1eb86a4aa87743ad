// --device, --device-cgroup-rule and --gpus. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/options.h"
#include "oci/spec.h"

namespace bulkhead::engine {

// HOST[:CONTAINER[:rwm]]
struct DeviceWish {
  std::string host;       // beneath /dev; a directory stands for all devices in it
  std::string container;  // absolute
  std::string access = "rwm";
};

struct DeviceWishes {
  std::vector<DeviceWish> devices;
  std::vector<oci::DeviceRule> rules;
  std::vector<std::string> cdi;  // names such as "vendor.com/class=device"
  bool all = false;              // --privileged
};

Result<DeviceWishes> read_devices(const RunOptions& options);

// One value each; also for tests.
Result<DeviceWish> parse_device(std::string_view text);
Result<oci::DeviceRule> parse_device_rule(std::string_view text);
// "all", a number, or "device=0,2": as names of CDI.
Result<std::vector<std::string>> parse_gpus(std::string_view text);

}  // namespace bulkhead::engine
