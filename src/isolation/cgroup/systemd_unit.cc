#include "isolation/cgroup/systemd_unit.h"

#include <algorithm>

#include "base/text.h"
#include "isolation/cgroup/settings.h"

namespace bulkhead::isolation::cgroup {
namespace {

constexpr std::string_view kSliceSuffix = ".slice";
constexpr std::size_t kLongestUnitName = 255;
constexpr std::uint64_t kMicrosecondsPerSecond = 1'000'000;

std::unexpected<Error> refuse(std::string_view path, const std::string& what,
                              std::string hint = {}) {
  return fail(ErrorKind::kInvalid, "/linux/cgroupsPath: " + quoted(path) + " " + what,
              std::move(hint));
}

// What systemd takes in a unit's name (systemd.unit(5)); "/" is not among it.
bool is_unit_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestUnitName && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view(":-_.\\").find(c) != std::string_view::npos;
  });
}

void add(std::vector<DbusProperty>& properties, std::string name, auto value) {
  properties.push_back({std::move(name), DbusValue{std::move(value)}});
}

// Bytes; -1 is systemd's "infinity".
std::uint64_t bytes_of(std::int64_t value) {
  return value < 0 ? UINT64_MAX : static_cast<std::uint64_t>(value);
}

void add_memory(const oci::MemoryLimits& memory, UnitVersion version,
                std::vector<DbusProperty>& all) {
  const bool v2 = version == UnitVersion::kV2;
  if (memory.limit && *memory.limit != 0)
    add(all, v2 ? "MemoryMax" : "MemoryLimit", bytes_of(*memory.limit));
  if (!v2) return;
  if (memory.reservation && *memory.reservation > 0)
    add(all, "MemoryLow", bytes_of(*memory.reservation));
  // The specification counts memory and swap together, cgroup v2 swap alone.
  if (memory.swap && *memory.swap < 0) add(all, "MemorySwapMax", std::uint64_t{UINT64_MAX});
  if (memory.swap && *memory.swap > 0 && memory.limit && *memory.limit > 0 &&
      *memory.swap >= *memory.limit)
    add(all, "MemorySwapMax", static_cast<std::uint64_t>(*memory.swap - *memory.limit));
}

Result<void> add_cpu(const oci::CpuLimits& cpu, UnitVersion version,
                     std::vector<DbusProperty>& all) {
  const bool v2 = version == UnitVersion::kV2;
  if (cpu.shares && *cpu.shares != 0) {
    if (v2)
      add(all, "CPUWeight", weight_of_shares(*cpu.shares));
    else
      add(all, "CPUShares", *cpu.shares);
  }
  const std::uint64_t period = cpu.period.value_or(0) != 0 ? *cpu.period : 100'000;
  if (cpu.period.value_or(0) != 0) add(all, "CPUQuotaPeriodUSec", period);
  if (cpu.quota && *cpu.quota != 0) {
    std::uint64_t per_second = UINT64_MAX;
    if (*cpu.quota > 0) {
      const auto quota = static_cast<std::uint64_t>(*cpu.quota);
      if (quota > UINT64_MAX / kMicrosecondsPerSecond)
        return fail(ErrorKind::kInvalid, "/linux/resources/cpu/quota: too large");
      per_second = quota * kMicrosecondsPerSecond / period;
      // systemd keeps whole percents of a processor: the next larger one.
      constexpr std::uint64_t kPercent = 10'000;
      per_second = (per_second + kPercent - 1) / kPercent * kPercent;
    }
    add(all, "CPUQuotaPerSecUSec", per_second);
  }
  if (v2 && cpu.cpus) {
    TRY_ASSIGN(auto bits, cpu_bits(*cpu.cpus, "/linux/resources/cpu/cpus"));
    add(all, "AllowedCPUs", std::move(bits));
  }
  if (v2 && cpu.mems) {
    TRY_ASSIGN(auto bits, cpu_bits(*cpu.mems, "/linux/resources/cpu/mems"));
    add(all, "AllowedMemoryNodes", std::move(bits));
  }
  return {};
}

// The name of a class of devices in /proc/devices ("136 pts" beneath "Character devices:").
std::string_view class_name(std::string_view classes, DeviceType type, std::uint32_t major) {
  DeviceType section = DeviceType::kAny;
  while (!classes.empty()) {
    std::string_view line = trim(next_field(classes, '\n'));
    if (line.starts_with("Character")) section = DeviceType::kCharacter;
    if (line.starts_with("Block")) section = DeviceType::kBlock;
    const auto number = parse_number<std::uint32_t>(next_field(line, ' '));
    if (section == type && number == major) return trim(line);
  }
  return {};
}

std::string access_text(std::uint8_t access) {
  std::string text;
  if ((access & kRead) != 0) text += 'r';
  if ((access & kWrite) != 0) text += 'w';
  if ((access & kMknod) != 0) text += 'm';
  return text;
}

// The path or class by which DeviceAllow names the devices; empty when there is none.
std::string device_name(const DeviceSet& devices, DeviceType type, std::string_view classes) {
  const std::string kind = type == DeviceType::kBlock ? "block" : "char";
  if (!devices.major) return devices.minor ? "" : kind + "-*";
  if (devices.minor)
    return "/dev/" + kind + "/" + std::to_string(*devices.major) + ":" +
           std::to_string(*devices.minor);
  const std::string_view name = class_name(classes, type, *devices.major);
  return name.empty() ? "" : kind + "-" + std::string(name);
}

// --- GVariant text ---------------------------------------------------------------------------

std::optional<std::string> quoted_text(std::string_view& rest) {
  rest = trim(rest);
  if (rest.size() < 2 || (rest[0] != '\'' && rest[0] != '"')) return std::nullopt;
  const char quote = rest[0];
  std::string text;
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == quote) {
      rest.remove_prefix(i + 1);
      return text;
    }
    if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
    text += rest[i];
  }
  return std::nullopt;
}

std::optional<DbusValue> text_list(std::string_view rest) {
  rest = trim(rest.substr(1, rest.size() - 2));
  std::vector<std::string> list;
  while (!rest.empty()) {
    auto text = quoted_text(rest);
    if (!text) return std::nullopt;
    list.push_back(std::move(*text));
    rest = trim(rest);
    if (rest.empty()) break;
    if (rest[0] != ',') return std::nullopt;
    rest.remove_prefix(1);
  }
  return DbusValue{std::move(list)};
}

template <class Number>
std::optional<DbusValue> number_value(std::string_view text) {
  if (const auto number = parse_number<Number>(trim(text))) return DbusValue{*number};
  return std::nullopt;
}

std::optional<DbusValue> gvariant(std::string_view text) {
  text = trim(text);
  if (text.empty()) return std::nullopt;
  if (text == "true" || text == "false") return DbusValue{text == "true"};
  if (text.front() == '[' && text.back() == ']') return text_list(text);
  if (text.front() == '\'' || text.front() == '"') {
    auto content = quoted_text(text);
    if (!content || !trim(text).empty()) return std::nullopt;
    return DbusValue{std::move(*content)};
  }
  for (const auto& [long_form, short_form, parse] :
       {std::tuple{"uint64 ", "@t ", &number_value<std::uint64_t>},
        {"int64 ", "@x ", &number_value<std::int64_t>},
        {"uint32 ", "@u ", &number_value<std::uint32_t>},
        {"int32 ", "@i ", &number_value<std::int32_t>}}) {
    if (text.starts_with(long_form)) return parse(text.substr(std::string_view(long_form).size()));
    if (text.starts_with(short_form))
      return parse(text.substr(std::string_view(short_form).size()));
  }
  return number_value<std::int32_t>(text);  // GVariant's default for a bare number
}

std::optional<std::uint64_t> seconds_as_microseconds(const DbusValue& value) {
  const auto* i = std::get_if<std::int32_t>(&value.value);
  const auto* u = std::get_if<std::uint32_t>(&value.value);
  const auto* x = std::get_if<std::int64_t>(&value.value);
  const auto* t = std::get_if<std::uint64_t>(&value.value);
  std::uint64_t seconds = 0;
  if (i != nullptr && *i >= 0)
    seconds = static_cast<std::uint64_t>(*i);
  else if (u != nullptr)
    seconds = *u;
  else if (x != nullptr && *x >= 0)
    seconds = static_cast<std::uint64_t>(*x);
  else if (t != nullptr)
    seconds = *t;
  else
    return std::nullopt;
  if (seconds > UINT64_MAX / kMicrosecondsPerSecond) return std::nullopt;
  return seconds * kMicrosecondsPerSecond;
}

}  // namespace

Result<std::string> slice_path(std::string_view slice) {
  if (slice == "-.slice") return std::string();
  if (!is_unit_name(slice) || !slice.ends_with(kSliceSuffix) || slice.size() == kSliceSuffix.size())
    return fail(ErrorKind::kInvalid,
                "/linux/cgroupsPath: " + quoted(slice) + " is not the name of a slice",
                "a slice is named like \"machine.slice\" or \"machine-build.slice\"");
  const std::string_view stem = slice.substr(0, slice.size() - kSliceSuffix.size());
  std::string path;
  std::string so_far;
  for (const std::string_view part : split(stem, '-')) {
    if (part.empty())
      return fail(ErrorKind::kInvalid, "/linux/cgroupsPath: " + quoted(slice) +
                                           " is not the name of a slice: a dash must stand "
                                           "between two names");
    so_far += (so_far.empty() ? "" : "-") + std::string(part);
    path += "/" + so_far + std::string(kSliceSuffix);
  }
  return path;
}

Result<SystemdUnit> systemd_unit(std::string_view cgroups_path, std::string_view container_id,
                                 std::string_view default_slice) {
  SystemdUnit unit{.name = "bulkhead-" + std::string(container_id) + ".scope",
                   .slice = std::string(default_slice),
                   .path = {}};
  if (!cgroups_path.empty()) {
    const auto parts = split(cgroups_path, ':');
    if (parts.size() != 3 || cgroups_path.find('/') != std::string_view::npos)
      return refuse(cgroups_path,
                    "is not of the form slice:prefix:name that the systemd cgroup driver takes",
                    "give \"system.slice:prefix:name\", or choose the cgroupfs driver");
    if (!parts[0].empty()) unit.slice = parts[0];
    if (parts[2].empty()) return refuse(cgroups_path, "names no scope after the second colon");
    if (parts[2].ends_with(kSliceSuffix))
      return refuse(cgroups_path, "names a slice, and a container is a scope",
                    "give a name without .slice");
    unit.name = (parts[1].empty() ? "" : std::string(parts[1]) + "-") + std::string(parts[2]);
    if (!unit.name.ends_with(".scope")) unit.name += ".scope";
  }
  if (!is_unit_name(unit.name))
    return refuse(cgroups_path,
                  "makes the unit name " + quoted(unit.name) + ", which systemd does not take",
                  "use letters, digits and :-_.\\ alone, at most 255 of them");
  TRY_ASSIGN(unit.path, slice_path(unit.slice));
  unit.path += "/" + unit.name;
  return unit;
}

Result<std::vector<DbusProperty>> limit_properties(const oci::Resources& resources,
                                                   UnitVersion version) {
  std::vector<DbusProperty> all;
  if (resources.memory) add_memory(*resources.memory, version, all);
  if (resources.cpu) TRY(add_cpu(*resources.cpu, version, all));
  if (resources.pids_limit && *resources.pids_limit != 0)
    add(all, "TasksMax", bytes_of(*resources.pids_limit));
  if (resources.block_io && resources.block_io->weight.value_or(0) != 0)
    add(all, version == UnitVersion::kV2 ? "IOWeight" : "BlockIOWeight",
        std::uint64_t{*resources.block_io->weight});
  return all;
}

std::vector<DbusProperty> device_properties(const DevicePolicy& policy, std::string_view classes) {
  const auto list = to_v1_list(policy);
  if (!list || list->allow_by_default) return {};
  DbusValue::Pairs allowed;
  for (const DeviceSet& devices : list->exceptions)
    for (const DeviceType type : {DeviceType::kCharacter, DeviceType::kBlock}) {
      if (devices.type != DeviceType::kAny && devices.type != type) continue;
      std::string name = device_name(devices, type, classes);
      // A class without a driver on this host has no devices to open.
      if (name.empty() && devices.major && !devices.minor) continue;
      if (name.empty()) return {};
      allowed.emplace_back(std::move(name), access_text(devices.access));
    }
  std::vector<DbusProperty> all;
  add(all, "DevicePolicy", std::string("strict"));
  add(all, "DeviceAllow", std::move(allowed));
  return all;
}

Result<std::vector<DbusProperty>> annotated_properties(const oci::Annotations& annotations) {
  constexpr std::string_view kPrefix = "org.systemd.property.";
  std::vector<DbusProperty> all;
  for (const auto& [key, text] : annotations) {
    if (!key.starts_with(kPrefix)) continue;
    std::string name = key.substr(kPrefix.size());
    auto value = gvariant(text);
    const bool seconds = name.ends_with("Sec") && !name.ends_with("USec");
    if (value && seconds) {
      const auto microseconds = seconds_as_microseconds(*value);
      if (microseconds) {
        value = DbusValue{*microseconds};
        name.insert(name.size() - 3, "U");
      } else {
        value.reset();
      }
    }
    if (name.empty() || !value)
      return fail(ErrorKind::kInvalid,
                  "/annotations/" + key + ": " + quoted(text) + " is not a value of a property",
                  "write it as GVariant text: 'a string', true, uint64 5, ['a', 'list']");
    all.push_back({std::move(name), std::move(*value)});
  }
  return all;
}

Result<std::vector<std::uint8_t>> cpu_bits(std::string_view list, std::string_view where) {
  std::vector<std::uint8_t> bits;
  for (const std::string_view item : split(trim(list), ',')) {
    std::string_view rest = trim(item);
    const auto first = parse_number<std::uint32_t>(next_field(rest, '-'));
    const bool is_range = item.find('-') != std::string_view::npos;
    const auto last = is_range ? parse_number<std::uint32_t>(rest) : first;
    constexpr std::uint32_t kMostCpus = 8192;
    if (!first || !last || *last < *first || *last >= kMostCpus)
      return fail(ErrorKind::kInvalid, std::string(where) + ": " + quoted(list) + " is no list",
                  "give numbers and ranges, such as 0-3,7");
    for (std::uint32_t cpu = *first; cpu <= *last; ++cpu) {
      if (bits.size() <= cpu / 8) bits.resize(cpu / 8 + 1);
      bits[cpu / 8] = static_cast<std::uint8_t>(bits[cpu / 8] | 1U << cpu % 8);
    }
  }
  return bits;
}

}  // namespace bulkhead::isolation::cgroup
