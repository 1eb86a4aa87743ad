#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "isolation/cgroup/settings.h"

namespace bulkhead::isolation::cgroup {
namespace {

constexpr std::uint64_t kLeastShares = 2;
constexpr std::uint64_t kMostShares = 262144;
constexpr std::uint64_t kDefaultPeriod = 100000;  // microseconds

std::string field(std::string_view name) {
  return std::string("/linux/resources/cpu/").append(name);
}

std::unexpected<Error> refuse(std::string_view name, std::string_view what) {
  return fail(ErrorKind::kInvalid, field(name).append(": ").append(what));
}

// 0 stands for a value that is not set (the engines write it so).
template <class Number>
bool is_set(const std::optional<Number>& number) {
  return number && *number != 0;
}

Result<void> check(const oci::CpuLimits& limits) {
  if (limits.quota && *limits.quota < -1)
    return refuse("quota",
                  std::to_string(*limits.quota) + " is neither -1 nor a number of microseconds");
  if (limits.quota.value_or(0) > 0 &&
      limits.burst.value_or(0) > static_cast<std::uint64_t>(*limits.quota))
    return refuse("burst", std::to_string(*limits.burst) + " is larger than the quota");
  if (limits.idle && *limits.idle != 0 && *limits.idle != 1)
    return refuse("idle", std::to_string(*limits.idle) + " is neither 0 nor 1");
  return {};
}

struct Collector {
  Moment moment;
  Settings settings;
  void add(const char* file, std::string value, std::string_view name) {
    settings.push_back({file, std::move(value), field(name)});
  }
};

// An idle group refuses a weight, so that idleness is taken away before and given after.
void add_idle_and_weight(const oci::CpuLimits& limits, const char* weight_file,
                         const std::string& weight, Collector& out) {
  if (out.moment == Moment::kUpdate && limits.idle && (*limits.idle == 0 || !weight.empty()))
    out.add("cpu.idle", "0", "idle");
  if (!weight.empty()) out.add(weight_file, weight, "shares");
  if (limits.idle.value_or(0) == 1) out.add("cpu.idle", "1", "idle");
}

Result<Settings> version_1(const oci::CpuLimits& limits, Moment moment) {
  Collector out{moment, {}};
  if (is_set(limits.shares) && (*limits.shares < kLeastShares || *limits.shares > kMostShares))
    return refuse("shares", std::to_string(*limits.shares) +
                                (*limits.shares < kLeastShares
                                     ? ": the minimum allowed cpu-shares is 2"
                                     : ": the maximum allowed cpu-shares is 262144"));
  add_idle_and_weight(limits, "cpu.shares",
                      is_set(limits.shares) ? std::to_string(*limits.shares) : "", out);
  // The budget of a period may not exceed the parent's, nor a burst the budget: on an update the
  // old burst goes first.
  if (moment == Moment::kUpdate && limits.burst) out.add("cpu.cfs_burst_us", "0", "burst");
  if (is_set(limits.period) && (moment == Moment::kUpdate || *limits.period != kDefaultPeriod))
    out.add("cpu.cfs_period_us", std::to_string(*limits.period), "period");
  if (is_set(limits.quota) && (moment == Moment::kUpdate || *limits.quota != -1))
    out.add("cpu.cfs_quota_us", std::to_string(*limits.quota), "quota");
  if (is_set(limits.burst)) out.add("cpu.cfs_burst_us", std::to_string(*limits.burst), "burst");
  if (is_set(limits.realtime_period))
    out.add("cpu.rt_period_us", std::to_string(*limits.realtime_period), "realtimePeriod");
  if (is_set(limits.realtime_runtime))
    out.add("cpu.rt_runtime_us", std::to_string(*limits.realtime_runtime), "realtimeRuntime");
  return std::move(out.settings);
}

Result<Settings> version_2(const oci::CpuLimits& limits, Moment moment) {
  Collector out{moment, {}};
  for (const auto& [name, set] : {std::pair{"realtimePeriod", is_set(limits.realtime_period)},
                                  std::pair{"realtimeRuntime", is_set(limits.realtime_runtime)}})
    if (set)
      return fail(ErrorKind::kUnsupported, field(name) + ": cgroup v2 has no real-time budgets",
                  "leave the field out on this host");
  add_idle_and_weight(limits, "cpu.weight",
                      is_set(limits.shares) ? std::to_string(weight_of_shares(*limits.shares)) : "",
                      out);
  if (moment == Moment::kUpdate && limits.burst) out.add("cpu.max.burst", "0", "burst");
  const bool limited = limits.quota.value_or(0) > 0;
  const bool period = is_set(limits.period);
  if (limited) {
    out.add("cpu.max",
            std::to_string(*limits.quota) + (period ? " " + std::to_string(*limits.period) : ""),
            "quota");
  } else if (period && (moment == Moment::kUpdate || *limits.period != kDefaultPeriod)) {
    // A period alone keeps the quota that is there only on v1; here a new group has none.
    out.add("cpu.max", "max " + std::to_string(*limits.period), "period");
  } else if (moment == Moment::kUpdate && limits.quota.value_or(0) == -1) {
    out.add("cpu.max", "max", "quota");
  }
  if (is_set(limits.burst)) out.add("cpu.max.burst", std::to_string(*limits.burst), "burst");
  return std::move(out.settings);
}

// "0-3,7": what the kernel's bitmap lists look like. The kernel checks the numbers.
bool is_list(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789-,:/") == std::string_view::npos;
}

}  // namespace

std::uint64_t weight_of_shares(std::uint64_t shares) {
  if (shares <= kLeastShares) return 1;
  if (shares >= kMostShares) return 10000;
  // log10(weight) as a parabola of log2(shares): (1, 0), (10, 2), (18, 4).
  const double l = std::log2(static_cast<double>(shares));
  const double exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
  return std::clamp(static_cast<std::uint64_t>(std::ceil(std::pow(10.0, exponent) - 1e-9)),
                    std::uint64_t{1}, std::uint64_t{10000});
}

Result<Settings> cpu_settings(const oci::CpuLimits& limits, CgroupVersion version, Moment moment) {
  TRY(check(limits));
  return version == CgroupVersion::kV1 ? version_1(limits, moment) : version_2(limits, moment);
}

Result<Settings> cpuset_settings(const oci::CpuLimits& limits) {
  Settings settings;
  for (const auto& [name, file, list] : {std::tuple{"cpus", "cpuset.cpus", &limits.cpus},
                                         std::tuple{"mems", "cpuset.mems", &limits.mems}}) {
    if (!*list || (*list)->empty()) continue;
    if (!is_list(**list)) return refuse(name, quoted(**list) + " is not a list like 0-3,7");
    settings.push_back({file, **list, field(name)});
  }
  return settings;
}

}  // namespace bulkhead::isolation::cgroup
