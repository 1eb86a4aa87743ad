#include "oci/validation.h"

namespace bulkhead::oci {
namespace {

Result<void> validate_device_rule(const DeviceRule& rule, const json::Place& place) {
  if (rule.type != "a" && rule.type != "b" && rule.type != "c") {
    return invalid(json::Place(place, "type"),
                   "is " + quoted(rule.type, 64) + ", which is no type of device",
                   "use \"a\" (all), \"b\" (block) or \"c\" (character)");
  }
  if (!only(rule.access, "rwm")) {
    return invalid(json::Place(place, "access"), "is " + quoted(rule.access, 64),
                   "compose it of r (read), w (write) and m (mknod)");
  }
  // -1 stands for "all", as Docker writes it.
  if (rule.major.value_or(0) < -1 || rule.minor.value_or(0) < -1) {
    return invalid(place, "has a negative device number", "leave the number out to mean all");
  }
  return {};
}

Result<void> validate_memory(const MemoryLimits& memory, const json::Place& place) {
  const std::pair<std::string_view, const std::optional<std::int64_t>*> limits[] = {
      {"limit", &memory.limit},
      {"reservation", &memory.reservation},
      {"swap", &memory.swap},
      {"kernel", &memory.kernel},
      {"kernelTCP", &memory.kernel_tcp}};
  for (const auto& [field, limit] : limits) {
    if (limit->value_or(0) < -1) {
      return invalid(json::Place(place, field), "is " + std::to_string(**limit),
                     "write bytes, or -1 for no limit");
    }
  }
  if (memory.limit.value_or(0) > 0 && memory.swap.value_or(0) > 0 && *memory.swap < *memory.limit) {
    return invalid(json::Place(place, "swap"),
                   "is " + std::to_string(*memory.swap) + ", less than the memory limit of " +
                       std::to_string(*memory.limit) + "; it counts memory and swap together",
                   "make it at least the memory limit, which means no swap");
  }
  if (memory.swappiness.value_or(0) > 100) {
    return invalid(json::Place(place, "swappiness"), "is " + std::to_string(*memory.swappiness),
                   "write a number from 0 to 100");
  }
  return {};
}

Result<void> validate_cpu(const CpuLimits& cpu, const json::Place& place) {
  if (cpu.quota.value_or(0) > 0 && cpu.burst.value_or(0) > static_cast<std::uint64_t>(*cpu.quota)) {
    return invalid(
        json::Place(place, "burst"),
        "is " + std::to_string(*cpu.burst) + ", over the quota of " + std::to_string(*cpu.quota),
        "lower the burst or raise the quota");
  }
  if (cpu.idle && *cpu.idle != 0 && *cpu.idle != 1) {
    return invalid(json::Place(place, "idle"), "is " + std::to_string(*cpu.idle), "write 0 or 1");
  }
  const std::pair<std::string_view, const std::optional<std::string>*> lists[] = {
      {"cpus", &cpu.cpus}, {"mems", &cpu.mems}};
  for (const auto& [field, list] : lists) {
    if (*list && !only(**list, "0123456789,- \n")) {
      return invalid(json::Place(place, field),
                     "is " + quoted(**list, 64) + ", which is no list of numbers",
                     "write numbers and ranges, as in \"0-3,7\"");
    }
  }
  return {};
}

Result<void> validate_throttles(const std::vector<BlockThrottleDevice>& devices,
                                const json::Place& place) {
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (devices[i].major < 0 || devices[i].minor < 0) {
      return invalid(json::Place(place, i), "has a negative device number",
                     "write the numbers that `stat` shows for the device");
    }
  }
  return {};
}

Result<void> validate_block_io(const BlockIoLimits& block_io, const json::Place& place) {
  const json::Place weights(place, "weightDevice");
  for (std::size_t i = 0; i < block_io.weight_device.size(); ++i) {
    const BlockWeightDevice& device = block_io.weight_device[i];
    if (device.major < 0 || device.minor < 0) {
      return invalid(json::Place(weights, i), "has a negative device number",
                     "write the numbers that `stat` shows for the device");
    }
    if (!device.weight && !device.leaf_weight) {
      return invalid(json::Place(weights, i), "has neither weight nor leafWeight",
                     "give at least one of the two");
    }
  }
  TRY(validate_throttles(block_io.throttle_read_bps_device,
                         json::Place(place, "throttleReadBpsDevice")));
  TRY(validate_throttles(block_io.throttle_write_bps_device,
                         json::Place(place, "throttleWriteBpsDevice")));
  TRY(validate_throttles(block_io.throttle_read_iops_device,
                         json::Place(place, "throttleReadIOPSDevice")));
  return validate_throttles(block_io.throttle_write_iops_device,
                            json::Place(place, "throttleWriteIOPSDevice"));
}

// "64KB", "2MB", "1GB": it becomes part of a file's name.
bool is_page_size(std::string_view text) {
  if (text.size() < 3 || text.back() != 'B') return false;
  if (std::string_view("KMG").find(text[text.size() - 2]) == std::string_view::npos) return false;
  const std::string_view digits = text.substr(0, text.size() - 2);
  return digits.front() != '0' && only(digits, "0123456789");
}

Result<void> validate_hugepages(const std::vector<HugepageLimit>& limits,
                                const json::Place& place) {
  for (std::size_t i = 0; i < limits.size(); ++i) {
    if (!is_page_size(limits[i].page_size)) {
      return invalid(json::Place(json::Place(place, i), "pageSize"),
                     "is " + quoted(limits[i].page_size, 64) + ", which is no page size",
                     "write a number and KB, MB or GB, as in \"2MB\"");
    }
  }
  return {};
}

// Written into one line of a control file, between blanks.
bool is_one_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7F;
  });
}

Result<void> validate_unified(const std::map<std::string, std::string>& unified,
                              const json::Place& place) {
  for (const auto& [file, value] : unified) {
    // A slash would leave the container's own group.
    if (file.find('/') != std::string::npos || file.starts_with('.') ||
        file.find('.') == std::string::npos || !is_one_word(file)) {
      return invalid(json::Place(place, file), "is no name of a cgroup control file",
                     "write the file's name in the group, as in \"memory.high\"");
    }
  }
  return {};
}

}  // namespace

Result<void> validate_resources_at(const Resources& resources, const json::Place& place) {
  const json::Place devices(place, "devices");
  for (std::size_t i = 0; i < resources.devices.size(); ++i) {
    TRY(validate_device_rule(resources.devices[i], json::Place(devices, i)));
  }
  if (resources.memory) TRY(validate_memory(*resources.memory, json::Place(place, "memory")));
  if (resources.cpu) TRY(validate_cpu(*resources.cpu, json::Place(place, "cpu")));
  if (resources.block_io)
    TRY(validate_block_io(*resources.block_io, json::Place(place, "blockIO")));
  TRY(validate_hugepages(resources.hugepage_limits, json::Place(place, "hugepageLimits")));
  if (resources.network) {
    const json::Place network(place, "network");
    const json::Place priorities(network, "priorities");
    for (std::size_t i = 0; i < resources.network->priorities.size(); ++i) {
      const std::string& name = resources.network->priorities[i].name;
      if (is_interface_name(name)) continue;
      return invalid(json::Place(json::Place(priorities, i), "name"),
                     "is " + quoted(name, 64) + ", which is no name of a network interface",
                     "write the interface's name, at most 15 bytes");
    }
  }
  const json::Place rdma(place, "rdma");
  for (const auto& [device, limit] : resources.rdma) {
    if (!is_one_word(device)) {
      return invalid(json::Place(rdma, device), "is no name of a device",
                     "write the device's name");
    }
    if (!limit.hca_handles && !limit.hca_objects) {
      return invalid(json::Place(rdma, device), "has neither hcaHandles nor hcaObjects",
                     "give at least one of the two");
    }
  }
  return validate_unified(resources.unified, json::Place(place, "unified"));
}

}  // namespace bulkhead::oci
