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

struct Written {
  std::string directory;
  CgroupSetting before;
};

// Puts back in reverse order; the names of what stayed.
std::string put_back(const std::vector<Written>& written) {
  std::string stayed;
  for (auto one = written.rbegin(); one != written.rend(); ++one)
    if (!cgroup::write_setting(one->directory, one->before))
      stayed.append(stayed.empty() ? "" : ", ").append(one->before.file);
  return stayed;
}

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

}  // namespace

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
    homes.all.emplace_back("cgroup", CgroupVersion::kV2);
    const std::string controllers = value_of(v2_root, "cgroup.controllers").value_or("");
    for (const std::string_view controller : split(controllers, ' '))
      if (!controller.empty()) homes.all.emplace_back(controller, CgroupVersion::kV2);
    complete_from_current(v2->directory, resources);
  }
  if (resources.memory && resources.memory->check_before_update.value_or(false) &&
      resources.memory->limit) {
    if (const Group* memory = group_with("memory"))
      TRY(check_usage(memory->directory, "memory.usage_in_bytes", *resources.memory->limit));
    else if (v2 != nullptr)
      TRY(check_usage(v2->directory, "memory.current", *resources.memory->limit));
  }
  TRY_ASSIGN(auto all,
             cgroup::resource_settings(resources, homes, cgroup::Moment::kUpdate, nullptr));

  std::optional<cgroup::DevicePolicy> devices;
  if (!resources.devices.empty()) {
    TRY_ASSIGN(devices, cgroup::device_policy(resources.devices, "/linux/resources/devices"));
    const auto list = cgroup::to_v1_list(*devices);
    if (const Group* group = group_with("devices"); group != nullptr && list) {
      all.push_back({"devices", CgroupVersion::kV1, device_settings(group->directory, *list)});
      devices.reset();
    } else if (v2 == nullptr) {
      return fail(ErrorKind::kUnsupported,
                  "/linux/resources/devices: no group of the container can express these rules");
    }
  }

  std::vector<Written> written;
  const auto undone = [&](Error error) {
    const std::string count = std::to_string(written.size());
    const std::string stayed = put_back(written);
    std::string note = written.empty()  ? ""
                       : stayed.empty() ? " (" + count + " values written before it were put back)"
                                        : " (could not be put back: " + stayed + ")";
    return std::unexpected(Error(error.kind(), error.message() + note, error.hint()));
  };
  for (cgroup::ControllerSettings& one : all) {
    const Group* group = one.version == CgroupVersion::kV2 ? v2 : group_with(one.controller);
    if (one.controller == "memory" && one.version == CgroupVersion::kV1)
      order_memory(group->directory, one.settings);
    if (one.version == CgroupVersion::kV2 && one.controller != "cgroup")
      if (auto enabled = cgroup::enable_controllers(v2_root, group->directory, {one.controller});
          !enabled)
        return undone(std::move(enabled).error());
    std::vector<Written> before;
    for (const CgroupSetting& setting : one.settings) {
      CgroupSetting undoing = setting;
      undoing.read_back = false;
      undoing.if_missing = CgroupSetting::IfMissing::kSkip;
      if (setting.file == "devices.allow")
        undoing.file = "devices.deny";
      else if (setting.file == "devices.deny")
        undoing.file = "devices.allow";
      else if (const auto current = value_of(group->directory, setting.file.c_str()))
        undoing.value = undoing_value(setting, *current);
      else
        continue;
      before.push_back({group->directory, std::move(undoing)});
    }
    // Part of a controller's values may have been written when it fails: all of them are put back.
    auto done = cgroup::write_settings(group->directory, one.settings);
    std::move(before.begin(), before.end(), std::back_inserter(written));
    if (!done) return undone(std::move(done).error());
  }
  if (devices) {
    Fd directory;
    TRY_ASSIGN(directory, open_at(AT_FDCWD, v2->directory.c_str(), O_RDONLY | O_DIRECTORY));
    const auto attached =
        cgroup::attach_device_program(directory.get(), cgroup::device_program(*devices));
    if (!attached) return undone(Error(attached.error()).within("/linux/resources/devices"));
  }
  return {};
}

}  // namespace bulkhead::isolation
