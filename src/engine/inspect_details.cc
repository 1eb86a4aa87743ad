#include "engine/inspect_details.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>

#include "base/text.h"
#include "engine/metadata.h"
#include "engine/values.h"

namespace bulkhead::engine {
namespace {

constexpr std::int64_t kDefaultShm = 64 << 20;

void write_texts(json::Writer& writer, std::string_view name,
                 const std::vector<std::string>& texts) {
  writer.key(name);
  if (texts.empty()) return writer.null();
  writer.begin_array();
  for (const std::string& text : texts) writer.string(text);
  writer.end_array();
}

void write_empty_list(json::Writer& writer, std::string_view name) {
  writer.key(name);
  writer.begin_array();
  writer.end_array();
}

void write_empty_object(json::Writer& writer, std::string_view name) {
  writer.key(name);
  writer.begin_object();
  writer.end_object();
}

void write_null(json::Writer& writer, std::string_view name) {
  writer.key(name);
  writer.null();
}

std::int64_t shm_size(const oci::Spec& spec) {
  for (const oci::Mount& mount : spec.mounts) {
    if (mount.destination != "/dev/shm") continue;
    for (const std::string& option : mount.options)
      if (option.starts_with("size=")) return parse_bytes(option.substr(5)).value_or(kDefaultShm);
  }
  return kDefaultShm;
}

// "RLIMIT_NOFILE" is "nofile".
std::string limit_name(std::string_view type) {
  constexpr std::string_view kPrefix = "RLIMIT_";
  std::string name(type.starts_with(kPrefix) ? type.substr(kPrefix.size()) : type);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

// -1 for no limit, as Docker writes it.
std::int64_t limit_value(std::uint64_t value) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return value > kMost ? -1 : static_cast<std::int64_t>(value);
}

void write_limits(json::Writer& writer, const oci::Spec& spec) {
  writer.key("Ulimits");
  writer.begin_array();
  for (const oci::Rlimit& limit : spec.process->rlimits) {
    writer.begin_object();
    writer.member("Name", limit_name(limit.type));
    writer.member("Hard", limit_value(limit.hard));
    writer.member("Soft", limit_value(limit.soft));
    writer.end_object();
  }
  writer.end_array();
}

// HOST[:CONTAINER[:ACCESS]]
void write_devices(json::Writer& writer, const GivenWords& given) {
  writer.key("Devices");
  writer.begin_array();
  for (const std::string& text : given.devices) {
    if (!text.starts_with('/')) continue;
    std::string_view rest = text;
    const std::string_view host = next_field(rest, ':');
    std::string_view inside = next_field(rest, ':');
    std::string_view access = rest;
    // HOST:ACCESS, where the second word is no path.
    if (access.empty() && !inside.empty() && !inside.starts_with('/')) std::swap(access, inside);
    writer.begin_object();
    writer.member("PathOnHost", host);
    writer.member("PathInContainer", inside.empty() ? host : inside);
    writer.member("CgroupPermissions", access.empty() ? "rwm" : access);
    writer.end_object();
  }
  writer.end_array();
  writer.key("DeviceRequests");
  std::vector<std::string> cdi;
  for (const std::string& text : given.devices)
    if (!text.starts_with('/')) cdi.push_back(text);
  if (cdi.empty()) return writer.null();
  writer.begin_array();
  writer.begin_object();
  writer.member("Driver", "cdi");
  write_texts(writer, "DeviceIDs", cdi);
  writer.end_object();
  writer.end_array();
}

void write_rates(json::Writer& writer, std::string_view name,
                 const std::vector<oci::BlockThrottleDevice>& rates) {
  writer.key(name);
  writer.begin_array();
  for (const oci::BlockThrottleDevice& rate : rates) {
    writer.begin_object();
    writer.member("Path",
                  "/dev/block/" + std::to_string(rate.major) + ":" + std::to_string(rate.minor));
    writer.member("Rate", rate.rate);
    writer.end_object();
  }
  writer.end_array();
}

void write_block(json::Writer& writer, const oci::BlockIoLimits& block) {
  writer.member("BlkioWeight", block.weight.value_or(0));
  writer.key("BlkioWeightDevice");
  writer.begin_array();
  for (const oci::BlockWeightDevice& device : block.weight_device) {
    writer.begin_object();
    writer.member(
        "Path", "/dev/block/" + std::to_string(device.major) + ":" + std::to_string(device.minor));
    writer.member("Weight", device.weight.value_or(0));
    writer.end_object();
  }
  writer.end_array();
  write_rates(writer, "BlkioDeviceReadBps", block.throttle_read_bps_device);
  write_rates(writer, "BlkioDeviceWriteBps", block.throttle_write_bps_device);
  write_rates(writer, "BlkioDeviceReadIOps", block.throttle_read_iops_device);
  write_rates(writer, "BlkioDeviceWriteIOps", block.throttle_write_iops_device);
}

void write_further_resources(json::Writer& writer, const oci::Resources& resources) {
  const oci::CpuLimits cpu = resources.cpu.value_or(oci::CpuLimits{});
  writer.member("CpuPeriod", cpu.period.value_or(0));
  writer.member("CpuQuota", cpu.quota.value_or(0));
  writer.member("CpuRealtimePeriod", cpu.realtime_period.value_or(0));
  writer.member("CpuRealtimeRuntime", cpu.realtime_runtime.value_or(0));
  write_block(writer, resources.block_io.value_or(oci::BlockIoLimits{}));
  writer.key("MemorySwappiness");
  if (resources.memory && resources.memory->swappiness)
    writer.integer(*resources.memory->swappiness);
  else
    writer.null();
  writer.member("OomKillDisable",
                resources.memory && resources.memory->disable_oom_killer.value_or(false));
}

}  // namespace

void write_host_details(json::Writer& writer, const oci::Spec& spec, const GivenWords& given) {
  write_empty_object(writer, "PortBindings");
  writer.member("PublishAllPorts", false);
  write_null(writer, "Links");
  writer.member("Cgroup", "");
  writer.member("VolumeDriver", "");
  write_empty_list(writer, "Dns");
  write_empty_list(writer, "DnsOptions");
  write_empty_list(writer, "DnsSearch");
  write_null(writer, "ExtraHosts");
  write_texts(writer, "GroupAdd", given.group_add);
  // Docker's word for a namespace of the container's own is "private" with some, and none with others.
  writer.member("IpcMode", given.ipc.empty() ? "private" : given.ipc);
  writer.member("CgroupnsMode", given.cgroupns.empty() ? "private" : given.cgroupns);
  writer.member("PidMode", given.pid == "private" ? "" : given.pid);
  writer.member("UTSMode", given.uts == "private" ? "" : given.uts);
  writer.member("UsernsMode", given.userns == "private" ? "" : given.userns);
  writer.member("CgroupParent", given.cgroup_parent);
  writer.member("OomScoreAdj", spec.process->oom_score_adj.value_or(0));
  writer.member("ShmSize", shm_size(spec));
  writer.key("Init");
  if (given.init)
    writer.boolean(true);
  else
    writer.null();
  write_limits(writer, spec);
  write_devices(writer, given);
  write_texts(writer, "DeviceCgroupRules", given.device_rules);
  writer.key("Sysctls");
  writer.begin_object();
  for (const auto& [name, value] : spec.linux_.sysctl) writer.member(name, value);
  writer.end_object();
  write_further_resources(writer, spec.linux_.resources.value_or(oci::Resources{}));
}

void write_no_addresses(json::Writer& writer) {
  for (const std::string_view name :
       {"Bridge", "SandboxID", "EndpointID", "Gateway", "GlobalIPv6Address", "IPAddress",
        "IPv6Gateway", "LinkLocalIPv6Address", "MacAddress"})
    writer.member(name, "");
  for (const std::string_view name :
       {"GlobalIPv6PrefixLen", "IPPrefixLen", "LinkLocalIPv6PrefixLen"})
    writer.member(name, 0);
  writer.member("HairpinMode", false);
  write_null(writer, "SecondaryIPAddresses");
  write_null(writer, "SecondaryIPv6Addresses");
}

void write_exposed_ports(json::Writer& writer, const oci::Spec& spec) {
  const auto found = spec.annotations.find(std::string(kPortsAnnotation));
  if (found == spec.annotations.end() || found->second.empty()) return;
  writer.key("ExposedPorts");
  writer.begin_object();
  for (const std::string_view port : split(found->second, ',')) write_empty_object(writer, port);
  writer.end_object();
}

}  // namespace bulkhead::engine
