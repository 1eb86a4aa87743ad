#include "isolation/cgroup/settings.h"

namespace bulkhead::isolation::cgroup {
namespace {

constexpr std::uint16_t kLeastWeight = 10;
constexpr std::uint16_t kMostWeight = 1000;

std::string field(std::string_view name) {
  return std::string("/linux/resources/blockIO/").append(name);
}
std::string item(std::string_view name, std::size_t index) {
  return field(name).append("/").append(std::to_string(index));
}

Result<std::string> device_number(std::int64_t major, std::int64_t minor,
                                  const std::string& where) {
  if (major < 0 || minor < 0 || major > UINT32_MAX || minor > UINT32_MAX)
    return fail(ErrorKind::kInvalid, where + ": no device has such a number");
  return std::to_string(major) + ":" + std::to_string(minor);
}

Result<void> check_weight(const std::optional<std::uint16_t>& weight, const std::string& where) {
  if (!weight || *weight == 0 || (*weight >= kLeastWeight && *weight <= kMostWeight)) return {};
  return fail(ErrorKind::kInvalid,
              where + ": " + std::to_string(*weight) + " is not within 10 to 1000");
}

// io.weight runs from 1 to 10000 where blkio.weight and BFQ run from 10 (1) to 1000.
std::string io_weight(std::uint16_t weight) {
  return std::to_string(1 + (weight - kLeastWeight) * 9999 / (kMostWeight - kLeastWeight));
}

struct Collector {
  CgroupVersion version;
  Settings settings;

  void add(const char* file, std::string value, std::string why,
           CgroupSetting::IfMissing if_missing = CgroupSetting::IfMissing::kRefuse) {
    settings.push_back({file, std::move(value), std::move(why), if_missing});
  }

  // Which I/O scheduler a disk has decides which file counts: every one that the kernel has is set.
  void add_weight(std::uint16_t weight, const std::string& device, const std::string& why) {
    constexpr auto kOneOf = CgroupSetting::IfMissing::kOneOf;
    const std::string number = std::to_string(weight);
    const std::string prefix = device.empty() ? "" : device + " ";
    if (version == CgroupVersion::kV1) {
      add(device.empty() ? "blkio.weight" : "blkio.weight_device", prefix + number, why, kOneOf);
      add(device.empty() ? "blkio.bfq.weight" : "blkio.bfq.weight_device", prefix + number, why,
          kOneOf);
    } else {
      add("io.bfq.weight", prefix + number, why, kOneOf);
      add("io.weight", (device.empty() ? "default " : prefix) + io_weight(weight), why, kOneOf);
    }
  }
};

Result<void> add_throttles(const std::vector<oci::BlockThrottleDevice>& devices,
                           std::string_view name, const char* file_v1, const char* key_v2,
                           Collector& out) {
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::string where = item(name, i);
    TRY_ASSIGN(const std::string device, device_number(devices[i].major, devices[i].minor, where));
    const std::string rate = std::to_string(devices[i].rate);
    if (out.version == CgroupVersion::kV1) {
      out.add(file_v1, device + " " + rate, where);
    } else {
      out.add("io.max", device + " " + key_v2 + "=" + (devices[i].rate == 0 ? "max" : rate), where);
    }
  }
  return {};
}

}  // namespace

Result<Settings> block_io_settings(const oci::BlockIoLimits& limits, CgroupVersion version) {
  Collector out{version, {}};
  TRY(check_weight(limits.weight, field("weight")));
  TRY(check_weight(limits.leaf_weight, field("leafWeight")));
  if (limits.weight.value_or(0) != 0) out.add_weight(*limits.weight, "", field("weight"));
  const auto leaf_weight = [&](std::uint16_t weight, const std::string& device,
                               const std::string& where) -> Result<void> {
    if (version == CgroupVersion::kV2)
      return fail(ErrorKind::kUnsupported, where + ": cgroup v2 has no leaf weights",
                  "leave the field out on this host");
    out.add(device.empty() ? "blkio.leaf_weight" : "blkio.leaf_weight_device",
            device.empty() ? std::to_string(weight) : device + " " + std::to_string(weight), where);
    return {};
  };
  if (limits.leaf_weight.value_or(0) != 0)
    TRY(leaf_weight(*limits.leaf_weight, "", field("leafWeight")));
  for (std::size_t i = 0; i < limits.weight_device.size(); ++i) {
    const oci::BlockWeightDevice& entry = limits.weight_device[i];
    const std::string where = item("weightDevice", i);
    TRY_ASSIGN(const std::string device, device_number(entry.major, entry.minor, where));
    TRY(check_weight(entry.weight, where + "/weight"));
    TRY(check_weight(entry.leaf_weight, where + "/leafWeight"));
    if (entry.weight.value_or(0) != 0) out.add_weight(*entry.weight, device, where + "/weight");
    if (entry.leaf_weight.value_or(0) != 0)
      TRY(leaf_weight(*entry.leaf_weight, device, where + "/leafWeight"));
  }
  TRY(add_throttles(limits.throttle_read_bps_device, "throttleReadBpsDevice",
                    "blkio.throttle.read_bps_device", "rbps", out));
  TRY(add_throttles(limits.throttle_write_bps_device, "throttleWriteBpsDevice",
                    "blkio.throttle.write_bps_device", "wbps", out));
  TRY(add_throttles(limits.throttle_read_iops_device, "throttleReadIOPSDevice",
                    "blkio.throttle.read_iops_device", "riops", out));
  TRY(add_throttles(limits.throttle_write_iops_device, "throttleWriteIOPSDevice",
                    "blkio.throttle.write_iops_device", "wiops", out));
  return std::move(out.settings);
}

}  // namespace bulkhead::isolation::cgroup
