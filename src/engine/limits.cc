#include "engine/limits.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/text.h"
#include "engine/flag_error.h"
#include "engine/values.h"

namespace bulkhead::engine {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
constexpr std::int64_t kLeastMemory = 512 << 10;

struct UlimitName {
  std::string_view flag;
  const char* resource;
};
constexpr std::array<UlimitName, 15> kUlimits{{{"core", "RLIMIT_CORE"},
                                               {"cpu", "RLIMIT_CPU"},
                                               {"data", "RLIMIT_DATA"},
                                               {"fsize", "RLIMIT_FSIZE"},
                                               {"locks", "RLIMIT_LOCKS"},
                                               {"memlock", "RLIMIT_MEMLOCK"},
                                               {"msgqueue", "RLIMIT_MSGQUEUE"},
                                               {"nice", "RLIMIT_NICE"},
                                               {"nofile", "RLIMIT_NOFILE"},
                                               {"nproc", "RLIMIT_NPROC"},
                                               {"rss", "RLIMIT_RSS"},
                                               {"rtprio", "RLIMIT_RTPRIO"},
                                               {"rttime", "RLIMIT_RTTIME"},
                                               {"sigpending", "RLIMIT_SIGPENDING"},
                                               {"stack", "RLIMIT_STACK"}}};

template <class Number>
Result<std::optional<Number>> read_number(std::string_view flag,
                                          const std::optional<std::string>& text, Number least,
                                          Number most, std::string_view expected) {
  if (!text) return std::nullopt;
  const auto number = parse_number<Number>(*text);
  if (!number || *number < least || *number > most) return refuse_flag(flag, *text, expected);
  return number;
}

Result<void> read_memory(const RunOptions& options, Limits& limits) {
  if (options.memory_reservation) {
    limits.memory_reservation = parse_bytes(*options.memory_reservation);
    if (!limits.memory_reservation || *limits.memory_reservation < kLeastMemory)
      return refuse_flag("--memory-reservation", *options.memory_reservation,
                         "a size such as 256m is expected, at least 512k");
  }
  TRY_ASSIGN(limits.memory_swappiness,
             read_number<std::uint64_t>("--memory-swappiness", options.memory_swappiness, 0, 100,
                                        "a number from 0 to 100 is expected"));
  limits.oom_kill_disable = options.oom_kill_disable;
  if (limits.oom_kill_disable && (!options.memory || *options.memory == "-1"))
    return fail(ErrorKind::kUsage, "--oom-kill-disable without --memory could stop the whole host",
                "give a limit of memory, too");
  TRY_ASSIGN(limits.oom_score_adj,
             read_number<std::int32_t>("--oom-score-adj", options.oom_score_adj, -1000, 1000,
                                       "a number from -1000 to 1000 is expected"));
  if (options.shm_size) {
    limits.shm_size = parse_bytes(*options.shm_size);
    if (!limits.shm_size || *limits.shm_size == 0)
      return refuse_flag("--shm-size", *options.shm_size, "a size such as 64m is expected");
  }
  if (options.output_limit) {
    limits.output_bytes = parse_bytes(*options.output_limit);
    if (!limits.output_bytes || *limits.output_bytes == 0)
      return refuse_flag("--output-limit", *options.output_limit, "a size such as 10m is expected");
  }
  return {};
}

Result<void> read_cpu(const RunOptions& options, Limits& limits) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  TRY_ASSIGN(limits.cpu_shares,
             read_number<std::uint64_t>("--cpu-shares", options.cpu_shares, 2, 262'144,
                                        "a number from 2 to 262144 is expected; 1024 is usual"));
  TRY_ASSIGN(limits.cpu_period,
             read_number<std::uint64_t>("--cpu-period", options.cpu_period, 1000, 1'000'000,
                                        "microseconds from 1000 to 1000000 are expected"));
  TRY_ASSIGN(limits.cpu_quota,
             read_number<std::int64_t>("--cpu-quota", options.cpu_quota, -1, kMost,
                                       "microseconds are expected, or -1 for no limit"));
  if (limits.cpu_quota && *limits.cpu_quota >= 0 && *limits.cpu_quota < 1000)
    return refuse_flag("--cpu-quota", *options.cpu_quota, "at least 1000 microseconds are needed");
  if (options.cpus && (options.cpu_period || options.cpu_quota))
    return fail(ErrorKind::kUsage, "--cpus and --cpu-period or --cpu-quota cannot both be given",
                "--cpus 1.5 is --cpu-period 100000 --cpu-quota 150000");
  TRY_ASSIGN(limits.cpu_realtime_period,
             read_number<std::uint64_t>("--cpu-rt-period", options.cpu_rt_period, 1, 1'000'000'000,
                                        "microseconds are expected"));
  TRY_ASSIGN(limits.cpu_realtime_runtime,
             read_number<std::int64_t>("--cpu-rt-runtime", options.cpu_rt_runtime, 0, 1'000'000'000,
                                       "microseconds are expected"));
  if (limits.cpu_realtime_period && limits.cpu_realtime_runtime &&
      *limits.cpu_realtime_runtime > static_cast<std::int64_t>(*limits.cpu_realtime_period))
    return refuse_flag("--cpu-rt-runtime", *options.cpu_rt_runtime,
                       "is more than --cpu-rt-period has");
  for (const auto& [flag, text, list] :
       {std::tuple("--cpuset-cpus", &options.cpuset_cpus, &limits.cpus),
        std::tuple("--cpuset-mems", &options.cpuset_mems, &limits.nodes)}) {
    if (!*text) continue;
    if (!is_number_list(**text))
      return refuse_flag(flag, **text, "a list such as 0-3,7 is expected");
    *list = **text;
  }
  return {};
}

Result<void> read_block(const RunOptions& options, Limits& limits) {
  TRY_ASSIGN(limits.block_weight,
             read_number<std::uint16_t>("--blkio-weight", options.blkio_weight, 10, 1000,
                                        "a number from 10 to 1000 is expected"));
  struct Row {
    const char* flag;
    const std::vector<std::string>& texts;
    std::vector<BlockLimit>& limits;
    BlockValue kind;
  };
  for (const Row& row :
       {Row{"--blkio-weight-device", options.blkio_weight_device, limits.block_weight_device,
            BlockValue::kWeight},
        Row{"--device-read-bps", options.device_read_bps, limits.read_bps, BlockValue::kBytes},
        Row{"--device-write-bps", options.device_write_bps, limits.write_bps, BlockValue::kBytes},
        Row{"--device-read-iops", options.device_read_iops, limits.read_iops,
            BlockValue::kOperations},
        Row{"--device-write-iops", options.device_write_iops, limits.write_iops,
            BlockValue::kOperations}}) {
    for (const std::string& text : row.texts) {
      TRY_ASSIGN(BlockLimit limit, parse_block_limit(row.flag, text, row.kind));
      row.limits.push_back(std::move(limit));
    }
  }
  return {};
}

}  // namespace

bool Limits::any_of_cgroups() const {
  return memory_reservation || memory_swappiness || oom_kill_disable || cpu_shares || cpu_period ||
         cpu_quota || cpu_realtime_period || cpu_realtime_runtime || !cpus.empty() ||
         !nodes.empty() || block_weight || !block_weight_device.empty() || !read_bps.empty() ||
         !write_bps.empty() || !read_iops.empty() || !write_iops.empty();
}

bool is_number_list(std::string_view text) {
  constexpr std::uint32_t kMost = 1 << 16;
  for (const std::string_view part : split(text, ',')) {
    std::string_view rest = part;
    const bool range = part.find('-') != std::string_view::npos;
    const auto first = parse_number<std::uint32_t>(next_field(rest, '-'));
    if (!first || *first > kMost) return false;
    if (!range) continue;
    const auto last = parse_number<std::uint32_t>(rest);
    if (!last || *last < *first || *last > kMost) return false;
  }
  return true;
}

Result<oci::Rlimit> parse_ulimit(std::string_view text) {
  std::string_view rest = text;
  const std::string_view name = next_field(rest, '=');
  const auto known = std::ranges::find(kUlimits, name, &UlimitName::flag);
  if (known == kUlimits.end()) {
    std::string names;
    for (const UlimitName& each : kUlimits)
      names.append(names.empty() ? "" : " ").append(each.flag);
    return refuse_flag("--ulimit", text, "there is no such limit", "the names are: " + names);
  }
  const bool two = rest.find(':') != std::string_view::npos;
  const std::string_view soft = next_field(rest, ':');
  const auto number = [](std::string_view word) -> std::optional<std::uint64_t> {
    if (word == "-1" || word == "unlimited") return kUnlimited;
    return parse_number<std::uint64_t>(word);
  };
  const auto low = number(soft);
  const auto high = two ? number(rest) : low;
  if (!low || !high)
    return refuse_flag("--ulimit", text, "NAME=SOFT[:HARD] is expected",
                       "such as nofile=1024:2048; -1 is unlimited");
  if (*low > *high)
    return refuse_flag("--ulimit", text, "the soft limit must not be above the hard one");
  return oci::Rlimit{.type = known->resource, .hard = *high, .soft = *low};
}

Result<BlockLimit> parse_block_limit(std::string_view flag, std::string_view text,
                                     BlockValue kind) {
  const std::size_t colon = text.rfind(':');
  BlockLimit limit;
  limit.path = text.substr(0, colon);
  if (colon == std::string_view::npos || !limit.path.starts_with("/dev/"))
    return refuse_flag(flag, text, "DEVICE:VALUE is expected, with a device such as /dev/sda");
  const std::string_view value = text.substr(colon + 1);
  if (kind == BlockValue::kBytes) {
    const auto bytes = parse_bytes(value);
    if (!bytes || *bytes == 0)
      return refuse_flag(flag, text, "a rate in bytes per second is expected, such as 1mb");
    limit.value = static_cast<std::uint64_t>(*bytes);
    return limit;
  }
  const auto number = parse_number<std::uint64_t>(value);
  if (!number || *number == 0)
    return refuse_flag(flag, text, "a number is expected after the device");
  if (kind == BlockValue::kWeight && (*number < 10 || *number > 1000))
    return refuse_flag(flag, text, "a weight from 10 to 1000 is expected");
  limit.value = *number;
  return limit;
}

Result<Limits> read_further_limits(const RunOptions& options) {
  Limits limits;
  TRY(read_memory(options, limits));
  TRY(read_cpu(options, limits));
  TRY(read_block(options, limits));
  for (const std::string& text : options.ulimits) {
    TRY_ASSIGN(oci::Rlimit limit, parse_ulimit(text));
    // As with Docker, the last one of a name counts.
    std::erase_if(limits.rlimits,
                  [&](const oci::Rlimit& other) { return other.type == limit.type; });
    limits.rlimits.push_back(std::move(limit));
  }
  return limits;
}

}  // namespace bulkhead::engine
