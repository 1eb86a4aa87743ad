// The flags that say how much of the host a container may take. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/options.h"
#include "oci/spec.h"

namespace bulkhead::engine {

// --device-read-bps PATH:RATE and its like. The numbers are read of the path later, on the host.
struct BlockLimit {
  std::string path;
  std::uint64_t value = 0;  // a rate, or a weight
  std::int64_t major = 0;
  std::int64_t minor = 0;
};

struct Limits {
  std::optional<std::int64_t> memory_reservation;  // bytes
  std::optional<std::uint64_t> memory_swappiness;  // 0 to 100
  bool oom_kill_disable = false;
  std::optional<std::int32_t> oom_score_adj;  // -1000 to 1000
  std::optional<std::uint64_t> cpu_shares;
  std::optional<std::uint64_t> cpu_period;  // microseconds
  std::optional<std::int64_t> cpu_quota;    // microseconds; -1: unlimited
  std::optional<std::uint64_t> cpu_realtime_period;
  std::optional<std::int64_t> cpu_realtime_runtime;
  std::string cpus;                           // "0-3,7"; empty: all
  std::string nodes;                          // of memory
  std::optional<std::uint16_t> block_weight;  // 10 to 1000
  std::vector<BlockLimit> block_weight_device;
  std::vector<BlockLimit> read_bps;
  std::vector<BlockLimit> write_bps;
  std::vector<BlockLimit> read_iops;
  std::vector<BlockLimit> write_iops;
  std::vector<oci::Rlimit> rlimits;
  std::optional<std::int64_t> shm_size;      // bytes
  std::optional<std::int64_t> output_bytes;  // standard output and error together

  bool any_of_cgroups() const;  // whether one of them is a control group's affair
};

Result<Limits> read_further_limits(const RunOptions& options);

// "NAME=SOFT[:HARD]" with Docker's names ("nofile"); -1 is unlimited.
Result<oci::Rlimit> parse_ulimit(std::string_view text);
// "PATH:VALUE"
enum class BlockValue { kBytes, kOperations, kWeight };
Result<BlockLimit> parse_block_limit(std::string_view flag, std::string_view text, BlockValue kind);
// "0-3,7"
bool is_number_list(std::string_view text);

}  // namespace bulkhead::engine
