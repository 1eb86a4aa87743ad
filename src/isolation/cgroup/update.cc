// New limits for a container that runs: all of them or none.
#include <fcntl.h>

#include <algorithm>

#include "base/text.h"
#include "isolation/cgroup/device_program.h"
#include "isolation/cgroup/directory.h"
#include "isolation/cgroup/parent.h"
#include "isolation/cgroup/settings.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

using cgroup::ControllerHomes;
using cgroup::number_of;
using cgroup::Settings;
using cgroup::value_of;

std::string_view first_word(std::string_view text) { return text.substr(0, text.find(' ')); }

// What would undo the setting: the file's value as it is. Files with a line for each device or
// interface are undone by their line, or by the word that means "no limit" there.
std::string undoing_value(const CgroupSetting& setting, const std::string& current) {
  if (setting.file == "memory.oom_control")
    return std::to_string(cgroup::number_in(current, "oom_kill_disable").value_or(0));
  const std::string_view key = first_word(setting.value);
  if (key.size() == setting.value.size())
    return current.substr(0, current.find('\n'));  // a single value
  std::string_view rest = current;
  while (!rest.empty()) {
    const std::string_view line = next_field(rest, '\n');
    if (first_word(line) == key) return std::string(line);
  }
  if (setting.file == "cpu.max") return current;
  if (const std::size_t equals = setting.value.find('='); equals != std::string::npos)
    return setting.value.substr(0, equals + 1) + "max";
  return std::string(key) + " 0";
}

// Writes settings and remembers what was there before.
class Writer {
 public:
  Result<void> write(const std::string& directory, const Settings& settings) {
    // Some of them may have been written when one fails: all are put back.
    for (const CgroupSetting& setting : settings) remember(directory, setting);
    return cgroup::write_settings(directory, settings);
  }

  // Puts everything back, in reverse order, and adds to the error how that went.
  std::unexpected<Error> put_back(Error error) const {
    std::string stayed;
    for (auto one = before_.rbegin(); one != before_.rend(); ++one)
      if (!cgroup::write_setting(one->directory, one->setting))
        stayed.append(stayed.empty() ? "" : ", ").append(one->setting.file);
    std::string note;
    if (!stayed.empty())
      note = " (could not be put back: " + stayed + ")";
    else if (!before_.empty())
      note = " (what was written before it was put back)";
    return std::unexpected(Error(error.kind(), error.message() + note, error.hint()));
  }

 private:
  struct Before {
    std::string directory;
    CgroupSetting setting;
  };

  void remember(const std::string& directory, const CgroupSetting& setting) {
    CgroupSetting undoing = setting;
    undoing.read_back = false;
    undoing.if_missing = CgroupSetting::IfMissing::kSkip;
    if (setting.file == "devices.allow") {
      undoing.file = "devices.deny";
    } else if (setting.file == "devices.deny") {
      undoing.file = "devices.allow";
    } else {
      const auto current = value_of(directory, setting.file.c_str());
      if (!current) return;
      undoing.value = undoing_value(setting, *current);
    }
    before_.push_back({directory, std::move(undoing)});
  }

  std::vector<Before> before_;
};

// v1 keeps memory <= memory and swap at every moment: a larger pair is written from its sum down.
void order_memory(const std::string& directory, Settings& settings) {
  const auto find = [&](std::string_view file) {
    return std::find_if(settings.begin(), settings.end(),
                        [&](const CgroupSetting& setting) { return setting.file == file; });
  };
  const auto limit = find("memory.limit_in_bytes");
  const auto sum = find("memory.memsw.limit_in_bytes");
  if (limit == settings.end() || sum == settings.end() || sum < limit) return;
  const auto current = number_of(directory, "memory.memsw.limit_in_bytes");
  const auto wanted = parse_number<std::uint64_t>(limit->value);
  const bool grows = !wanted || (current && *wanted > *current);
  if (grows) std::rotate(limit, sum, sum + 1);
}

Result<void> check_usage(const std::string& directory, const char* file, std::int64_t limit) {
  const auto usage = number_of(directory, file);
  if (usage && limit > 0 && *usage > static_cast<std::uint64_t>(limit))
    return fail(ErrorKind::kInvalid,
                "/linux/resources/memory/limit: " + std::to_string(limit) +
                    " bytes are less than the " + std::to_string(*usage) +
                    " in use, and checkBeforeUpdate is set",
                "choose a higher limit");
  return {};
}

// What v2 writes into one file together is completed from the file where the update names one half.
void complete_from_current(const std::string& directory, oci::Resources& resources) {
  if (resources.cpu && resources.cpu->period.value_or(0) != 0 &&
      resources.cpu->quota.value_or(0) == 0) {
    const std::string current = value_of(directory, "cpu.max").value_or("");
    if (const auto quota = parse_number<std::int64_t>(first_word(current)))
      resources.cpu->quota = *quota;
  }
  if (resources.memory && resources.memory->swap.value_or(0) > 0 &&
      resources.memory->limit.value_or(0) == 0) {
    const auto limit = number_of(directory, "memory.max");
    if (limit && *limit <= INT64_MAX) resources.memory->limit = static_cast<std::int64_t>(*limit);
  }
}

// The topmost group of the hierarchy that can be seen above this one.
std::string hierarchy_root(std::string directory) {
  for (;;) {
    const std::string parent = directory.substr(0, directory.rfind('/'));
    if (parent.empty() || !value_of(parent, "cgroup.subtree_control")) return directory;
    directory = parent;
  }
}

// --- devices -----------------------------------------------------------------------------------

// The difference to the list that is there, so that a device that stays allowed is never refused in
// between; a change of the default needs the list to be written anew.
Settings device_settings(const std::string& directory, const cgroup::DeviceListV1& wanted) {
  constexpr const char* kWhy = "/linux/resources/devices";
  std::vector<std::string> target;
  for (const cgroup::DeviceSet& exception : wanted.exceptions) target.push_back(exception.text());
  const std::string current = value_of(directory, "devices.list").value_or("");
  Settings settings;
  if (wanted.allow_by_default || current.starts_with("a ")) {
    settings.push_back({wanted.allow_by_default ? "devices.allow" : "devices.deny", "a", kWhy});
    for (const std::string& line : target)
      settings.push_back({wanted.allow_by_default ? "devices.deny" : "devices.allow", line, kWhy});
    return settings;
  }
  std::vector<std::string> there;
  for (const std::string_view line : split(current, '\n'))
    if (!line.empty()) there.emplace_back(line);
  const auto has = [](const std::vector<std::string>& lines, const std::string& line) {
    return std::find(lines.begin(), lines.end(), line) != lines.end();
  };
  for (const std::string& line : there)
    if (!has(target, line)) settings.push_back({"devices.deny", line, kWhy});
  for (const std::string& line : target)
    if (!has(there, line)) settings.push_back({"devices.allow", line, kWhy});
  return settings;
}

// The controllers of a v2 hierarchy: "cgroup" is what every group has.
void add_unified_homes(const std::string& root, ControllerHomes& homes) {
  homes.all.emplace_back("cgroup", CgroupVersion::kV2);
  const std::string controllers = value_of(root, "cgroup.controllers").value_or("");
  for (const std::string_view controller : split(controllers, ' '))
    if (!controller.empty()) homes.all.emplace_back(controller, CgroupVersion::kV2);
}

}  // namespace

Result<void> CgroupSet::check_before_update(const oci::Resources& resources) const {
  if (!resources.memory || !resources.memory->check_before_update.value_or(false) ||
      !resources.memory->limit)
    return {};
  if (const Group* memory = group_with("memory"))
    return check_usage(memory->directory, "memory.usage_in_bytes", *resources.memory->limit);
  if (const Group* v2 = unified())
    return check_usage(v2->directory, "memory.current", *resources.memory->limit);
  return {};
}

Result<void> CgroupSet::update(const oci::Resources& wanted) const {
  oci::Resources resources = wanted;
  const Group* v2 = unified();
  const std::string v2_root = v2 != nullptr ? hierarchy_root(v2->directory) : "";
  ControllerHomes homes;
  for (const Group& group : groups_) {
    std::string_view rest = group.controllers;
    while (!rest.empty()) homes.all.emplace_back(next_field(rest, ','), CgroupVersion::kV1);
  }
  if (v2 != nullptr) {
    add_unified_homes(v2_root, homes);
    complete_from_current(v2->directory, resources);
  }
  TRY(check_before_update(resources));
  TRY_ASSIGN(auto all,
             cgroup::resource_settings(resources, homes, cgroup::Moment::kUpdate, nullptr));

  Writer writer;
  for (cgroup::ControllerSettings& one : all) {
    const bool in_v2 = one.version == CgroupVersion::kV2;
    const std::string& directory = (in_v2 ? v2 : group_with(one.controller))->directory;
    if (one.controller == "memory" && !in_v2) order_memory(directory, one.settings);
    Result<void> done;
    if (in_v2 && one.controller != "cgroup")
      done = cgroup::enable_controllers(v2_root, directory, {one.controller});
    if (done) done = writer.write(directory, one.settings);
    if (!done) return writer.put_back(std::move(done).error());
  }
  if (resources.devices.empty()) return {};
  if (auto done = update_devices(resources); !done) return writer.put_back(std::move(done).error());
  return {};
}

Result<void> CgroupSet::update_devices(const oci::Resources& resources) const {
  TRY_ASSIGN(const cgroup::DevicePolicy policy,
             cgroup::device_policy(resources.devices, "/linux/resources/devices"));
  const auto list = cgroup::to_v1_list(policy);
  if (const Group* group = group_with("devices"); group != nullptr && list) {
    Writer writer;
    auto done = writer.write(group->directory, device_settings(group->directory, *list));
    if (!done) return writer.put_back(std::move(done).error());
    return {};
  }
  const Group* v2 = unified();
  if (v2 == nullptr)
    return fail(ErrorKind::kUnsupported,
                "/linux/resources/devices: no group of the container can express these rules");
  TRY_ASSIGN(const Fd directory, open_at(AT_FDCWD, v2->directory.c_str(), O_RDONLY | O_DIRECTORY));
  const auto attached =
      cgroup::attach_device_program(directory.get(), cgroup::device_program(policy));
  if (!attached) return std::unexpected(Error(attached.error()).within("/linux/resources/devices"));
  return {};
}

}  // namespace bulkhead::isolation
