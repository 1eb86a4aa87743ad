// What the kernel has accounted to a container's groups, for `events`, `stats` and results. An
// absent value is one that this host's hierarchies do not offer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead::isolation {

// Pressure stall information: shares of time in percent, and a total in microseconds.
struct PressureLine {
  double avg10 = 0;
  double avg60 = 0;
  double avg300 = 0;
  std::uint64_t total = 0;
};
struct Pressure {
  PressureLine some;
  PressureLine full;
};

struct CpuStats {
  std::optional<std::uint64_t> usage_ns;
  std::optional<std::uint64_t> user_ns;
  std::optional<std::uint64_t> system_ns;
  std::vector<std::uint64_t> per_cpu_ns;  // v1 only
  std::optional<std::uint64_t> periods;
  std::optional<std::uint64_t> throttled_periods;
  std::optional<std::uint64_t> throttled_ns;
  std::optional<std::uint64_t> bursts;
  std::optional<std::uint64_t> burst_ns;
  std::optional<Pressure> pressure;
};

struct MemoryCounter {
  std::optional<std::uint64_t> usage;
  std::optional<std::uint64_t> peak;
  std::optional<std::uint64_t> limit;     // UINT64_MAX: unlimited
  std::optional<std::uint64_t> failures;  // how often the limit was hit
};

struct MemoryStats {
  MemoryCounter memory;
  MemoryCounter swap;    // v1: memory and swap together; v2: swap alone
  MemoryCounter kernel;  // v1 only
  MemoryCounter kernel_tcp;
  std::optional<std::uint64_t> cache;
  std::optional<std::uint64_t> oom_kills;
  std::map<std::string, std::uint64_t> raw;  // memory.stat as it is
  std::optional<Pressure> pressure;
};

struct PidsStats {
  std::optional<std::uint64_t> current;
  std::optional<std::uint64_t> limit;     // UINT64_MAX: unlimited
  std::optional<std::uint64_t> refusals;  // forks refused by the limit
};

struct BlockIoEntry {
  std::uint64_t major = 0;
  std::uint64_t minor = 0;
  std::string operation;  // "Read", "Write", "Total", …
  std::uint64_t value = 0;
};

struct BlockIoStats {
  std::vector<BlockIoEntry> service_bytes;
  std::vector<BlockIoEntry> serviced;
  std::optional<Pressure> pressure;
};

struct HugetlbStats {
  std::optional<std::uint64_t> usage;
  std::optional<std::uint64_t> peak;
  std::optional<std::uint64_t> failures;
};

// The few figures that say how a container has ended.
struct CgroupUsage {
  std::optional<std::uint64_t> peak_memory_bytes;
  std::optional<std::uint64_t> oom_kills;
  std::optional<std::uint64_t> cpu_ns;
  std::optional<std::uint64_t> cpu_user_ns;
  std::optional<std::uint64_t> cpu_system_ns;
};

struct CgroupStats {
  CpuStats cpu;
  MemoryStats memory;
  PidsStats pids;
  BlockIoStats block_io;
  std::map<std::string, HugetlbStats> hugetlb;  // by page size: "2MB"
};

}  // namespace bulkhead::isolation
