#include "isolation/cgroup/device_policy.h"

#include "base/text.h"

namespace bulkhead::isolation::cgroup {
namespace {

// What every container may use whatever its list says, as the specification's default devices.
constexpr DeviceSet kDefaults[] = {
    {DeviceType::kCharacter,
     {},
     {},
     kMknod},  // to make a node is harmless: to open it is asked again
    {DeviceType::kBlock, {}, {}, kMknod},
    {DeviceType::kCharacter, 1, 3, kEveryAccess},     // /dev/null
    {DeviceType::kCharacter, 1, 5, kEveryAccess},     // /dev/zero
    {DeviceType::kCharacter, 1, 7, kEveryAccess},     // /dev/full
    {DeviceType::kCharacter, 1, 8, kEveryAccess},     // /dev/random
    {DeviceType::kCharacter, 1, 9, kEveryAccess},     // /dev/urandom
    {DeviceType::kCharacter, 5, 0, kEveryAccess},     // /dev/tty
    {DeviceType::kCharacter, 5, 1, kEveryAccess},     // /dev/console
    {DeviceType::kCharacter, 5, 2, kEveryAccess},     // /dev/ptmx
    {DeviceType::kCharacter, 136, {}, kEveryAccess},  // /dev/pts/*
};

Result<std::optional<std::uint32_t>> number(const std::optional<std::int64_t>& value,
                                            const std::string& where) {
  if (!value || *value == -1) return std::optional<std::uint32_t>();  // engines write "*" as -1
  if (*value < 0 || *value > INT32_MAX)
    return fail(ErrorKind::kInvalid,
                where + ": " + std::to_string(*value) + " is not a device number");
  return std::optional(static_cast<std::uint32_t>(*value));
}

Result<std::uint8_t> access(const std::string& text, const std::string& where) {
  std::uint8_t result = 0;
  for (const char c : text) {
    if (c == 'r')
      result |= kRead;
    else if (c == 'w')
      result |= kWrite;
    else if (c == 'm')
      result |= kMknod;
    else
      return fail(ErrorKind::kInvalid,
                  where + "/access: " + quoted(text) + " has letters other than r, w and m");
  }
  return result;
}

Result<DeviceSet> device_set(const oci::DeviceRule& rule, const std::string& where) {
  DeviceSet devices;
  if (rule.type == "b")
    devices.type = DeviceType::kBlock;
  else if (rule.type == "c" || rule.type == "u")
    devices.type = DeviceType::kCharacter;
  else if (rule.type != "a" && !rule.type.empty())
    return fail(ErrorKind::kInvalid,
                where + "/type: " + quoted(rule.type) + " is neither a, b nor c");
  TRY_ASSIGN(devices.major, number(rule.major, where + "/major"));
  TRY_ASSIGN(devices.minor, number(rule.minor, where + "/minor"));
  TRY_ASSIGN(devices.access, access(rule.access, where));
  return devices;
}

bool number_covers(std::optional<std::uint32_t> wide, std::optional<std::uint32_t> narrow) {
  return !wide || wide == narrow;
}
bool numbers_meet(std::optional<std::uint32_t> a, std::optional<std::uint32_t> b) {
  return !a || !b || a == b;
}

// Adds one access rule of one type to the exceptions, where an exception for the same devices
// grows.
void add_exception(std::vector<DeviceSet>& exceptions, const DeviceSet& devices) {
  for (DeviceSet& exception : exceptions) {
    if (exception.type == devices.type && exception.major == devices.major &&
        exception.minor == devices.minor) {
      exception.access |= devices.access;
      return;
    }
  }
  exceptions.push_back(devices);
}

// Takes the devices out of the exceptions; false when that would need an exception to an exception.
bool carve_out(std::vector<DeviceSet>& exceptions, const DeviceSet& devices) {
  for (DeviceSet& exception : exceptions) {
    if (!exception.intersects(devices) || (exception.access & devices.access) == 0) continue;
    if (!devices.covers(exception)) return false;
    exception.access &= static_cast<std::uint8_t>(~devices.access);
  }
  std::erase_if(exceptions, [](const DeviceSet& exception) { return exception.access == 0; });
  return true;
}

// The v1 kernel asks one exception to grant a whole request: each gets what wider ones grant too,
// and where two cross ("1:*" and "*:3") the device in both gets one of its own.
void widen(std::vector<DeviceSet>& exceptions) {
  const std::size_t given = exceptions.size();
  for (std::size_t i = 0; i < given; ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      const DeviceSet a = exceptions[i];
      const DeviceSet b = exceptions[k];
      if (!a.intersects(b) || a.covers(b) || b.covers(a)) continue;
      add_exception(exceptions, {a.type, a.major ? a.major : b.major, a.minor ? a.minor : b.minor,
                                 static_cast<std::uint8_t>(a.access | b.access)});
    }
  }
  for (DeviceSet& exception : exceptions)
    for (const DeviceSet& other : exceptions)
      if (other.covers(exception)) exception.access |= other.access;
}

// Exceptions that say nothing of their own go: each costs a system call.
void prune(std::vector<DeviceSet>& exceptions) {
  std::vector<DeviceSet> kept;
  for (std::size_t i = 0; i < exceptions.size(); ++i) {
    bool redundant = false;
    for (std::size_t k = 0; k < exceptions.size() && !redundant; ++k)
      redundant = k != i && exceptions[k].covers(exceptions[i]) &&
                  (exceptions[i].access & ~exceptions[k].access) == 0;
    if (!redundant) kept.push_back(exceptions[i]);
  }
  exceptions = std::move(kept);
}

}  // namespace

bool DeviceSet::covers(const DeviceSet& other) const {
  return (type == DeviceType::kAny || type == other.type) && number_covers(major, other.major) &&
         number_covers(minor, other.minor);
}

bool DeviceSet::intersects(const DeviceSet& other) const {
  return (type == DeviceType::kAny || other.type == DeviceType::kAny || type == other.type) &&
         numbers_meet(major, other.major) && numbers_meet(minor, other.minor);
}

std::string DeviceSet::text() const {
  std::string text = type == DeviceType::kAny ? "a" : type == DeviceType::kBlock ? "b" : "c";
  text.append(" ").append(major ? std::to_string(*major) : "*");
  text.append(":").append(minor ? std::to_string(*minor) : "*").append(" ");
  if ((access & kRead) != 0) text.push_back('r');
  if ((access & kWrite) != 0) text.push_back('w');
  if ((access & kMknod) != 0) text.push_back('m');
  return text;
}

bool DevicePolicy::allows(const DeviceSet& one_device) const {
  std::uint8_t open = one_device.access;  // not decided yet
  for (auto rule = rules.rbegin(); rule != rules.rend() && open != 0; ++rule) {
    if (!rule->devices.covers(one_device) || (rule->devices.access & open) == 0) continue;
    if (!rule->allow) return false;
    open &= static_cast<std::uint8_t>(~rule->devices.access);
  }
  return open == 0;
}

Result<DevicePolicy> device_policy(std::span<const oci::DeviceRule> rules, std::string_view where) {
  DevicePolicy policy;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string at = std::string(where) + "/" + std::to_string(i);
    TRY_ASSIGN(const DeviceSet devices, device_set(rules[i], at));
    if (devices.access == 0) continue;  // of no access: says nothing
    if (devices.everything()) policy.rules.clear();
    if (devices.everything() && !rules[i].allow) continue;  // what no rule means anyway
    policy.rules.push_back({rules[i].allow, devices});
  }
  // A rule that repeats what is allowed already costs a system call (v1) or instructions (v2).
  const std::size_t given = policy.rules.size();
  for (const DeviceSet& devices : kDefaults) {
    bool decided = false;
    for (std::size_t i = given; i-- > 0;) {
      const DevicePolicyRule& rule = policy.rules[i];
      if (!rule.devices.intersects(devices) || (rule.devices.access & devices.access) == 0)
        continue;
      decided = rule.allow && rule.devices.covers(devices) &&
                (devices.access & ~rule.devices.access) == 0;
      break;
    }
    if (!decided) policy.rules.push_back({true, devices});
  }
  return policy;
}

std::optional<DeviceListV1> to_v1_list(const DevicePolicy& policy) {
  DeviceListV1 list;
  for (const DevicePolicyRule& rule : policy.rules) {
    if (rule.devices.everything()) {
      list = {rule.allow, {}};
      continue;
    }
    std::vector<DeviceSet> parts = {rule.devices};
    if (rule.devices.type == DeviceType::kAny) {
      parts = {rule.devices, rule.devices};
      parts[0].type = DeviceType::kCharacter;
      parts[1].type = DeviceType::kBlock;
    }
    for (const DeviceSet& part : parts) {
      if (rule.allow != list.allow_by_default)
        add_exception(list.exceptions, part);
      else if (!carve_out(list.exceptions, part))
        return std::nullopt;
    }
  }
  if (!list.allow_by_default) widen(list.exceptions);
  prune(list.exceptions);
  return list;
}

}  // namespace bulkhead::isolation::cgroup
