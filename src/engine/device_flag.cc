#include "engine/device_flag.h"

#include <algorithm>

#include "base/text.h"
#include "engine/cdi.h"
#include "engine/flag_error.h"
#include "engine/mount_flag.h"

namespace bulkhead::engine {
namespace {

constexpr std::string_view kGpus = "nvidia.com/gpu=";

bool is_access(std::string_view text) {
  return !text.empty() && text.size() <= 3 &&
         text.find_first_not_of("rwm") == std::string_view::npos;
}

bool in_dev(std::string_view path) {
  if (!path.starts_with("/dev/") || path.size() == 5 || path.contains('\0')) return false;
  return std::ranges::none_of(split(path, '/'), [](std::string_view part) { return part == ".."; });
}

// A number or "*".
bool read_device_number(std::string_view text, std::optional<std::int64_t>& number) {
  if (text == "*") return true;
  const auto parsed = parse_number<std::uint32_t>(text);
  if (parsed) number = *parsed;
  return parsed.has_value();
}

}  // namespace

Result<DeviceWish> parse_device(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, ':');
  DeviceWish wish;
  wish.host = parts[0];
  wish.container = parts[0];
  if (parts.size() > 3) return refuse_flag("--device", text, "HOST[:CONTAINER[:rwm]] is expected");
  if (!in_dev(wish.host))
    return refuse_flag("--device", text, "a device of the host is expected, such as /dev/fuse",
                       "or the name of a CDI device, such as vendor.com/class=name");
  // As in Docker, what follows may be the access alone.
  if (parts.size() == 2 && is_access(parts[1])) {
    wish.access = parts[1];
    return wish;
  }
  if (parts.size() > 1) wish.container = parts[1];
  TRY(check_container_path("--device", wish.container));
  if (wish.container.find_first_not_of('/') == std::string::npos)
    return refuse_flag("--device", text, "the path in the container must not be /");
  if (parts.size() == 3) {
    if (!is_access(parts[2]))
      return refuse_flag("--device", text, "the access is made of r, w and m");
    wish.access = parts[2];
  }
  return wish;
}

Result<oci::DeviceRule> parse_device_rule(std::string_view text) {
  // "c 1:3 rwm"
  std::string_view rest = text;
  const std::string_view type = next_field(rest, ' ');
  std::string_view numbers = next_field(rest, ' ');
  oci::DeviceRule rule;
  rule.allow = true;
  rule.type = type;
  rule.access = rest;
  const std::string_view major = next_field(numbers, ':');
  if ((type != "a" && type != "b" && type != "c") || !is_access(rest) ||
      !read_device_number(major, rule.major) || !read_device_number(numbers, rule.minor))
    return refuse_flag("--device-cgroup-rule", text, "TYPE MAJOR:MINOR ACCESS is expected",
                       "such as 'c 189:* rwm'; the type is a, b or c");
  return rule;
}

Result<std::vector<std::string>> parse_gpus(std::string_view text) {
  std::vector<std::string> names;
  const auto one = [&](std::string_view device) {
    names.push_back(std::string(kGpus).append(device));
  };
  if (const auto count = parse_number<std::uint32_t>(text)) {
    if (*count == 0 || *count > 64)
      return refuse_flag("--gpus", text, "a number from 1 to 64 is expected");
    for (std::uint32_t i = 0; i < *count; ++i) one(std::to_string(i));
    return names;
  }
  TRY_ASSIGN(const std::vector<std::string> fields, split_fields("--gpus", text));
  for (const std::string& field : fields) {
    std::string_view value = field;
    const std::string_view key = next_field(value, '=');
    if (field == "all" || field == "count=all") {
      one("all");
    } else if (key == "device" && !value.empty()) {
      for (const std::string_view device : split(value, ',')) one(device);
    } else {
      return refuse_flag("--gpus", text, "all, a number or device=NAME[,NAME] is expected",
                         "what else a GPU offers its CDI specification says");
    }
  }
  for (const std::string& name : names)
    if (!is_cdi_name(name)) return refuse_flag("--gpus", text, quoted(name) + " names no device");
  return names;
}

Result<DeviceWishes> read_devices(const RunOptions& options) {
  DeviceWishes wishes;
  wishes.all = options.privileged;
  for (const std::string& text : options.devices) {
    if (is_cdi_name(text)) {
      wishes.cdi.push_back(text);
      continue;
    }
    TRY_ASSIGN(DeviceWish device, parse_device(text));
    wishes.devices.push_back(std::move(device));
  }
  for (const std::string& text : options.device_rules) {
    TRY_ASSIGN(oci::DeviceRule rule, parse_device_rule(text));
    wishes.rules.push_back(std::move(rule));
  }
  if (options.gpus) {
    TRY_ASSIGN(const std::vector<std::string> gpus, parse_gpus(*options.gpus));
    wishes.cdi.insert(wishes.cdi.end(), gpus.begin(), gpus.end());
  }
  return wishes;
}

}  // namespace bulkhead::engine
