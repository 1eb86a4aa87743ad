#include "isolation/cgroup/settings.h"

namespace bulkhead::isolation::cgroup {
namespace {

constexpr std::string_view kField = "/linux/resources/memory/";

std::string field(std::string_view name) { return std::string(kField).append(name); }

std::unexpected<Error> refuse(std::string_view name, std::string_view what, std::string hint = {}) {
  return fail(ErrorKind::kInvalid, field(name).append(": ").append(what), std::move(hint));
}

std::unexpected<Error> no_such_thing(std::string_view name, std::string_view what) {
  return fail(ErrorKind::kUnsupported, field(name).append(": ").append(what),
              "leave the field out on this host");
}

// In the spec's numbers 0 stands for a limit that is not set (the engines write it so), -1 for
// none.
bool is_set(const std::optional<std::int64_t>& limit) { return limit && *limit != 0; }

Result<void> check_range(std::string_view name, const std::optional<std::int64_t>& limit) {
  if (limit && *limit < -1)
    return refuse(name, std::to_string(*limit) + " is not a number of bytes");
  return {};
}

Result<void> check(const oci::MemoryLimits& limits) {
  TRY(check_range("limit", limits.limit));
  TRY(check_range("reservation", limits.reservation));
  TRY(check_range("swap", limits.swap));
  TRY(check_range("kernel", limits.kernel));
  TRY(check_range("kernelTCP", limits.kernel_tcp));
  if (limits.swappiness && *limits.swappiness > 100)
    return refuse("swappiness", std::to_string(*limits.swappiness) + " is not within 0 to 100");
  if (is_set(limits.swap) && *limits.swap > 0) {
    if (limits.limit.value_or(0) == -1)
      return refuse("swap", "a limit of memory and swap together, but none of memory");
    if (is_set(limits.limit) && *limits.swap < *limits.limit)
      return refuse("swap", "less than the limit of memory alone (" +
                                std::to_string(*limits.limit) +
                                "): it is the limit of memory and swap together");
  }
  return {};
}

struct Collector {
  Moment moment;
  Settings settings;

  void add(const char* file, std::string value, std::string_view name) {
    settings.push_back({file, std::move(value), field(name)});
  }
  // A limit in bytes; an unlimited one is what a new group has.
  void add_limit(const char* file, const std::optional<std::int64_t>& limit, const char* unlimited,
                 std::string_view name) {
    if (!is_set(limit)) return;
    if (*limit == -1 && moment == Moment::kCreate) return;
    add(file, *limit == -1 ? unlimited : std::to_string(*limit), name);
  }
};

Result<Settings> version_1(const oci::MemoryLimits& limits, Moment moment) {
  Collector out{moment, {}};
  // Hierarchical accounting cannot be switched off since 5.11, and was the default of every host
  // that runs containers before; the kernel refuses what it cannot do.
  if (limits.use_hierarchy && (!*limits.use_hierarchy || moment == Moment::kUpdate))
    out.add("memory.use_hierarchy", *limits.use_hierarchy ? "1" : "0", "useHierarchy");
  out.add_limit("memory.limit_in_bytes", limits.limit, "-1", "limit");
  if (is_set(limits.limit) && *limits.limit == -1 && !is_set(limits.swap) &&
      moment == Moment::kUpdate)
    out.add("memory.memsw.limit_in_bytes", "-1", "limit");  // else the old sum would still bind
  out.add_limit("memory.memsw.limit_in_bytes", limits.swap, "-1", "swap");
  out.add_limit("memory.soft_limit_in_bytes", limits.reservation, "-1", "reservation");
  out.add_limit("memory.kmem.limit_in_bytes", limits.kernel, "-1", "kernel");
  if (!out.settings.empty() && out.settings.back().file == "memory.kmem.limit_in_bytes")
    out.settings.back().read_back = true;  // accepted and ignored since 5.16
  out.add_limit("memory.kmem.tcp.limit_in_bytes", limits.kernel_tcp, "-1", "kernelTCP");
  if (limits.swappiness)
    out.add("memory.swappiness", std::to_string(*limits.swappiness), "swappiness");
  if (limits.disable_oom_killer && (*limits.disable_oom_killer || moment == Moment::kUpdate))
    out.add("memory.oom_control", *limits.disable_oom_killer ? "1" : "0", "disableOOMKiller");
  return std::move(out.settings);
}

Result<Settings> version_2(const oci::MemoryLimits& limits, Moment moment) {
  Collector out{moment, {}};
  if (limits.kernel.value_or(0) > 0)
    return no_such_thing("kernel",
                         "cgroup v2 accounts kernel memory together with all other memory");
  if (limits.kernel_tcp.value_or(0) > 0)
    return no_such_thing("kernelTCP",
                         "cgroup v2 accounts socket memory together with all other memory");
  if (limits.swappiness)
    return no_such_thing("swappiness", "cgroup v2 has no swappiness of a group");
  if (limits.disable_oom_killer.value_or(false))
    return no_such_thing("disableOOMKiller", "cgroup v2 cannot switch the OOM killer off");
  if (limits.use_hierarchy && !*limits.use_hierarchy)
    return no_such_thing("useHierarchy", "cgroup v2 always accounts hierarchically");
  out.add_limit("memory.max", limits.limit, "max", "limit");
  if (is_set(limits.swap)) {
    std::optional<std::int64_t> alone = limits.swap;
    if (*limits.swap > 0) {
      if (!is_set(limits.limit))
        return refuse("swap",
                      "a limit of memory and swap together needs /linux/resources/memory/limit "
                      "beside it: cgroup v2 limits swap alone");
      alone = *limits.swap - *limits.limit;
      out.add("memory.swap.max", std::to_string(*alone), "swap");
    } else {
      out.add_limit("memory.swap.max", alone, "max", "swap");
    }
  }
  if (is_set(limits.reservation) && (*limits.reservation != -1 || moment == Moment::kUpdate))
    out.add("memory.low", *limits.reservation == -1 ? "max" : std::to_string(*limits.reservation),
            "reservation");
  return std::move(out.settings);
}

}  // namespace

Result<Settings> memory_settings(const oci::MemoryLimits& limits, CgroupVersion version,
                                 Moment moment) {
  TRY(check(limits));
  return version == CgroupVersion::kV1 ? version_1(limits, moment) : version_2(limits, moment);
}

}  // namespace bulkhead::isolation::cgroup
