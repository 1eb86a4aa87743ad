#include "isolation/cgroup/stats.h"

#include <algorithm>
#include <cstdlib>

#include "base/text.h"
#include "isolation/cgroup/directory.h"
#include "isolation/cgroup/parent.h"

namespace bulkhead::isolation {
namespace {

using cgroup::number_in;
using cgroup::number_of;
using cgroup::value_of;

constexpr std::uint64_t kNanosecondsPerMicrosecond = 1000;

std::optional<std::uint64_t> times(std::optional<std::uint64_t> number, std::uint64_t factor) {
  if (number) *number *= factor;
  return number;
}

// "avg10=0.00": a decimal fraction without strtod's dependence on the locale.
double fraction(std::string_view text) {
  const std::size_t dot = text.find('.');
  const std::string_view after = dot == std::string_view::npos ? "" : text.substr(dot + 1);
  double result = static_cast<double>(parse_number<std::uint64_t>(text.substr(0, dot)).value_or(0));
  double scale = 0.1;
  for (const char c : after) {
    if (c < '0' || c > '9') break;
    result += (c - '0') * scale;
    scale /= 10;
  }
  return result;
}

PressureLine pressure_line(std::string_view line) {
  PressureLine result;
  while (!line.empty()) {
    std::string_view value = next_field(line, ' ');
    const std::string_view key = next_field(value, '=');
    if (key == "avg10")
      result.avg10 = fraction(value);
    else if (key == "avg60")
      result.avg60 = fraction(value);
    else if (key == "avg300")
      result.avg300 = fraction(value);
    else if (key == "total")
      result.total = parse_number<std::uint64_t>(value).value_or(0);
  }
  return result;
}

std::optional<Pressure> pressure(const std::string& directory, const char* file) {
  const auto text = value_of(directory, file);
  if (!text) return std::nullopt;
  Pressure result;
  std::string_view rest = *text;
  while (!rest.empty()) {
    std::string_view line = next_field(rest, '\n');
    const std::string_view kind = next_field(line, ' ');
    if (kind == "some")
      result.some = pressure_line(line);
    else if (kind == "full")
      result.full = pressure_line(line);
  }
  return result;
}

std::map<std::string, std::uint64_t> pairs(const std::string& text) {
  std::map<std::string, std::uint64_t> result;
  std::string_view rest = text;
  while (!rest.empty()) {
    std::string_view line = next_field(rest, '\n');
    const std::string_view key = next_field(line, ' ');
    if (const auto value = parse_number<std::uint64_t>(line)) result.emplace(key, *value);
  }
  return result;
}

// v1 says "unlimited" as the largest number of pages.
MemoryCounter counter_v1(const std::string& directory, const std::string& prefix) {
  MemoryCounter counter;
  counter.usage = number_of(directory, (prefix + ".usage_in_bytes").c_str());
  counter.peak = number_of(directory, (prefix + ".max_usage_in_bytes").c_str());
  counter.limit = number_of(directory, (prefix + ".limit_in_bytes").c_str());
  counter.failures = number_of(directory, (prefix + ".failcnt").c_str());
  constexpr std::uint64_t kUnlimited = 0x7FFFFFFFFFFF0000ULL;
  if (counter.limit && *counter.limit >= kUnlimited) counter.limit = UINT64_MAX;
  return counter;
}

void read_throttling(const std::string& directory, CpuStats& cpu) {
  const std::string text = value_of(directory, "cpu.stat").value_or("");
  cpu.periods = number_in(text, "nr_periods");
  cpu.throttled_periods = number_in(text, "nr_throttled");
  cpu.bursts = number_in(text, "nr_bursts");
  cpu.throttled_ns = number_in(text, "throttled_time");
  if (!cpu.throttled_ns)
    cpu.throttled_ns = times(number_in(text, "throttled_usec"), kNanosecondsPerMicrosecond);
  cpu.burst_ns = number_in(text, "burst_time");
  if (!cpu.burst_ns)
    cpu.burst_ns = times(number_in(text, "burst_usec"), kNanosecondsPerMicrosecond);
}

void read_usage_v1(const std::string& directory, CpuStats& cpu) {
  cpu.usage_ns = number_of(directory, "cpuacct.usage");
  cpu.user_ns = number_of(directory, "cpuacct.usage_user");
  cpu.system_ns = number_of(directory, "cpuacct.usage_sys");
  const std::string text = value_of(directory, "cpuacct.usage_percpu").value_or("");
  for (const std::string_view number : split(trim(text), ' '))
    if (const auto value = parse_number<std::uint64_t>(number)) cpu.per_cpu_ns.push_back(*value);
}

void read_usage_v2(const std::string& directory, CpuStats& cpu) {
  const std::string text = value_of(directory, "cpu.stat").value_or("");
  cpu.usage_ns = times(number_in(text, "usage_usec"), kNanosecondsPerMicrosecond);
  cpu.user_ns = times(number_in(text, "user_usec"), kNanosecondsPerMicrosecond);
  cpu.system_ns = times(number_in(text, "system_usec"), kNanosecondsPerMicrosecond);
}

void read_memory_v1(const std::string& directory, MemoryStats& memory) {
  memory.memory = counter_v1(directory, "memory");
  memory.swap = counter_v1(directory, "memory.memsw");
  memory.kernel = counter_v1(directory, "memory.kmem");
  memory.kernel_tcp = counter_v1(directory, "memory.kmem.tcp");
  memory.raw = pairs(value_of(directory, "memory.stat").value_or(""));
  if (const auto cache = memory.raw.find("total_cache"); cache != memory.raw.end())
    memory.cache = cache->second;
  memory.oom_kills = number_in(value_of(directory, "memory.oom_control").value_or(""), "oom_kill");
}

void read_memory_v2(const std::string& directory, MemoryStats& memory) {
  const auto current = number_of(directory, "memory.current");
  if (!current) return;  // the controller is not enabled here
  const std::string events = value_of(directory, "memory.events").value_or("");
  memory.memory = {current, number_of(directory, "memory.peak"), number_of(directory, "memory.max"),
                   number_in(events, "max")};
  memory.swap = {number_of(directory, "memory.swap.current"),
                 number_of(directory, "memory.swap.peak"), number_of(directory, "memory.swap.max"),
                 number_in(value_of(directory, "memory.swap.events").value_or(""), "max")};
  memory.oom_kills = number_in(events, "oom_kill");
  memory.raw = pairs(value_of(directory, "memory.stat").value_or(""));
  if (const auto cache = memory.raw.find("file"); cache != memory.raw.end())
    memory.cache = cache->second;
}

void read_pids(const std::string& directory, PidsStats& pids) {
  pids.current = number_of(directory, "pids.current");
  pids.limit = number_of(directory, "pids.max");
  pids.refusals = number_in(value_of(directory, "pids.events").value_or(""), "max");
}

std::optional<BlockIoEntry> device_of(std::string_view& line) {
  std::string_view device = next_field(line, ' ');
  const auto major = parse_number<std::uint64_t>(next_field(device, ':'));
  const auto minor = parse_number<std::uint64_t>(device);
  if (!major || !minor) return std::nullopt;
  return BlockIoEntry{*major, *minor, {}, 0};
}

// "8:0 Read 4096" per line; the line "Total 0" has no device.
void read_block_io_v1(const std::string& directory, const char* file,
                      std::vector<BlockIoEntry>& entries) {
  const std::string text = value_of(directory, file).value_or("");
  std::string_view rest = text;
  while (!rest.empty()) {
    std::string_view line = next_field(rest, '\n');
    auto entry = device_of(line);
    if (!entry) continue;
    entry->operation = next_field(line, ' ');
    entry->value = parse_number<std::uint64_t>(line).value_or(0);
    entries.push_back(std::move(*entry));
  }
}

// "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0"
void read_block_io_v2(const std::string& directory, BlockIoStats& stats) {
  const std::string text = value_of(directory, "io.stat").value_or("");
  std::string_view rest = text;
  while (!rest.empty()) {
    std::string_view line = next_field(rest, '\n');
    const auto device = device_of(line);
    if (!device) continue;
    while (!line.empty()) {
      std::string_view value = next_field(line, ' ');
      const std::string_view key = next_field(value, '=');
      BlockIoEntry entry = *device;
      entry.value = parse_number<std::uint64_t>(value).value_or(0);
      entry.operation = key.starts_with('r') ? "Read" : key.starts_with('w') ? "Write" : "Discard";
      if (key.ends_with("bytes"))
        stats.service_bytes.push_back(std::move(entry));
      else if (key.ends_with("ios"))
        stats.serviced.push_back(std::move(entry));
    }
  }
}

// One entry for each page size that the kernel has.
std::vector<std::string> page_sizes() {
  std::vector<std::string> sizes;
  for (const std::string& name : cgroup::subgroups("/sys/kernel/mm/hugepages")) {
    std::string_view digits = name;
    if (!digits.starts_with("hugepages-") || !digits.ends_with("kB")) continue;
    digits.remove_prefix(10);
    digits.remove_suffix(2);
    const auto kilobytes = parse_number<std::uint64_t>(digits);
    if (!kilobytes) continue;
    constexpr std::uint64_t kMega = 1024;
    constexpr std::uint64_t kGiga = kMega * 1024;
    if (*kilobytes >= kGiga)
      sizes.push_back(std::to_string(*kilobytes / kGiga) + "GB");
    else if (*kilobytes >= kMega)
      sizes.push_back(std::to_string(*kilobytes / kMega) + "MB");
    else
      sizes.push_back(std::to_string(*kilobytes) + "KB");
  }
  return sizes;
}

void read_hugetlb(const std::string& directory, CgroupVersion version,
                  std::map<std::string, HugetlbStats>& all) {
  const bool v1 = version == CgroupVersion::kV1;
  for (const std::string& size : page_sizes()) {
    const std::string prefix = "hugetlb." + size;
    HugetlbStats stats;
    stats.usage = number_of(directory, (prefix + (v1 ? ".usage_in_bytes" : ".current")).c_str());
    if (!stats.usage) continue;
    if (v1) {
      stats.peak = number_of(directory, (prefix + ".max_usage_in_bytes").c_str());
      stats.failures = number_of(directory, (prefix + ".failcnt").c_str());
    } else {
      stats.failures =
          number_in(value_of(directory, (prefix + ".events").c_str()).value_or(""), "max");
    }
    all.emplace(size, stats);
  }
}

}  // namespace

std::optional<std::uint64_t> CgroupSet::oom_kills() const {
  if (const Group* group = group_with("memory"))
    return number_in(value_of(group->directory, "memory.oom_control").value_or(""), "oom_kill");
  if (const Group* v2 = unified())
    return number_in(value_of(v2->directory, "memory.events").value_or(""), "oom_kill");
  return std::nullopt;
}

CgroupUsage CgroupSet::usage() const {
  CgroupUsage usage;
  const Group* v2 = unified();
  CpuStats cpu;
  if (const Group* group = group_with("cpuacct")) read_usage_v1(group->directory, cpu);
  if (v2 != nullptr && !cpu.usage_ns) read_usage_v2(v2->directory, cpu);
  usage.cpu_ns = cpu.usage_ns;
  usage.cpu_user_ns = cpu.user_ns;
  usage.cpu_system_ns = cpu.system_ns;
  if (const Group* group = group_with("memory")) {
    usage.peak_memory_bytes = number_of(group->directory, "memory.max_usage_in_bytes");
  } else if (v2 != nullptr) {
    usage.peak_memory_bytes = number_of(v2->directory, "memory.peak");
  }
  usage.oom_kills = oom_kills();
  return usage;
}

CgroupStats CgroupSet::stats() const {
  CgroupStats stats;
  const Group* v2 = unified();
  const auto v1_or_v2 = [&](const char* controller) {
    const Group* v1 = group_with(controller);
    return v1 != nullptr ? v1 : v2;
  };
  if (const Group* group = v1_or_v2("cpu")) read_throttling(group->directory, stats.cpu);
  if (const Group* group = group_with("cpuacct")) read_usage_v1(group->directory, stats.cpu);
  // A v2 group accounts CPU time even where no v2 controller is enabled.
  if (v2 != nullptr && !stats.cpu.usage_ns) read_usage_v2(v2->directory, stats.cpu);
  if (const Group* group = group_with("memory"))
    read_memory_v1(group->directory, stats.memory);
  else if (v2 != nullptr)
    read_memory_v2(v2->directory, stats.memory);
  if (const Group* group = v1_or_v2("pids")) read_pids(group->directory, stats.pids);
  if (const Group* group = group_with("blkio")) {
    read_block_io_v1(group->directory, "blkio.throttle.io_service_bytes_recursive",
                     stats.block_io.service_bytes);
    read_block_io_v1(group->directory, "blkio.throttle.io_serviced_recursive",
                     stats.block_io.serviced);
  } else if (v2 != nullptr) {
    read_block_io_v2(v2->directory, stats.block_io);
  }
  if (const Group* group = v1_or_v2("hugetlb"))
    read_hugetlb(group->directory, group->version, stats.hugetlb);
  if (v2 != nullptr) {
    stats.cpu.pressure = pressure(v2->directory, "cpu.pressure");
    stats.memory.pressure = pressure(v2->directory, "memory.pressure");
    stats.block_io.pressure = pressure(v2->directory, "io.pressure");
  }
  return stats;
}

}  // namespace bulkhead::isolation
