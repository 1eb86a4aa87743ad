// How a process that exec adds joins the groups of a container that runs.
#include <fcntl.h>

#include <algorithm>

#include "base/text.h"
#include "isolation/cgroup/directory.h"
#include "isolation/cgroup/parent.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

using cgroup::value_of;

// The v2 group of a process of this container: the container's own, or one beneath it.
std::string own_v2_directory(const std::string& directory, HostPid init) {
  const auto text = value_of("/proc/" + std::to_string(init.value()), "cgroup");
  if (!text) return directory;
  std::string_view rest = *text;
  while (!rest.empty()) {
    std::string_view line = next_field(rest, '\n');
    if (!line.starts_with("0::")) continue;
    line.remove_prefix(3);
    // Both end in the same path as far as the container's group goes: what follows is its own.
    const std::string name = directory.substr(directory.rfind('/'));
    for (std::size_t at = line.find(name); at != std::string_view::npos;
         at = line.find(name, at + 1)) {
      const std::string_view tail = line.substr(at + name.size());
      if (directory.ends_with(line.substr(0, at + name.size())) &&
          (tail.empty() || tail.front() == '/'))
        return directory + std::string(tail);
    }
  }
  return directory;
}

Result<SubGroup> parse_sub_group(std::string_view path) {
  const auto parts = split(path, '/');
  if (std::ranges::find(parts, "..") != parts.end())
    return fail(ErrorKind::kInvalid,
                "the sub-group " + quoted(path) + " leads out of the container's group");
  return SubGroup{"", std::string(path)};
}

}  // namespace

Result<std::vector<SubGroup>> parse_sub_groups(std::span<const std::string> texts) {
  std::vector<SubGroup> groups;
  for (const std::string& text : texts) {
    std::string_view path = text;
    const std::size_t colon = path.find(':');
    if (colon == std::string_view::npos) {
      if (texts.size() > 1)
        return fail(ErrorKind::kUsage,
                    quoted(text) + " is for all controllers, and is not the only sub-group",
                    "name controllers before each: \"cpu,memory:path\"");
      TRY_ASSIGN(SubGroup group, parse_sub_group(path));
      groups.push_back(std::move(group));
      continue;
    }
    for (const std::string_view controller : split(path.substr(0, colon), ',')) {
      if (controller.empty())
        return fail(ErrorKind::kUsage, quoted(text) + " names no controller before the colon",
                    "for example \"cpu,memory:path\", or \"path\" for all controllers");
      const bool twice = std::ranges::any_of(
          groups, [&](const SubGroup& other) { return other.controller == controller; });
      if (twice)
        return fail(ErrorKind::kUsage,
                    "the controller " + quoted(controller) + " is given two sub-groups");
      TRY_ASSIGN(SubGroup group, parse_sub_group(path.substr(colon + 1)));
      group.controller = controller;
      groups.push_back(std::move(group));
    }
  }
  return groups;
}

Result<const SubGroup*> CgroupSet::sub_group_of(const Group& group,
                                                std::span<const SubGroup> beneath) const {
  const SubGroup* found = nullptr;
  for (const SubGroup& candidate : beneath) {
    if (!candidate.controller.empty() && !group.has_controller(candidate.controller)) continue;
    // Controllers of one hierarchy have one group.
    if (found != nullptr && found->path != candidate.path)
      return fail(ErrorKind::kInvalid, "the controllers " + quoted(found->controller) + " and " +
                                           quoted(candidate.controller) +
                                           " lie in one hierarchy, and have one group there");
    found = &candidate;
  }
  return found;
}

Result<std::vector<Fd>> CgroupSet::open_membership(HostPid init,
                                                   std::span<const SubGroup> beneath) const {
  for (const SubGroup& wanted : beneath)
    if (!wanted.controller.empty() && group_with(wanted.controller) == nullptr)
      return fail(
          ErrorKind::kInvalid,
          "the container has no cgroup v1 group of the controller " + quoted(wanted.controller),
          "cgroup v2 has one group for all controllers: give its path alone");
  std::vector<Fd> files;
  for (const Group& group : groups_) {
    TRY_ASSIGN(const SubGroup* const wanted, sub_group_of(group, beneath));
    const bool v2 = group.version == CgroupVersion::kV2;
    std::string directory = group.directory;
    if (wanted != nullptr)
      directory.append("/").append(wanted->path);
    else if (v2 && !value_of(directory, "cgroup.subtree_control").value_or("").empty())
      directory = own_v2_directory(directory, init);
    if (v2 && value_of(directory, "cgroup.type") == "threaded")
      return fail(ErrorKind::kUnsupported, "the container made its group " + directory +
                                               " threaded: no process can join it");
    const std::string path = directory + (v2 ? "/cgroup.procs" : "/tasks");
    auto file = open_at(AT_FDCWD, path.c_str(), O_WRONLY);
    // As open() has it: a group that is gone is not there. A sub-group was asked for by name.
    if (!file && file.error().error == ENOENT && wanted == nullptr) continue;
    if (!file) return std::unexpected(Error(file.error()).within("joining the container's cgroup"));
    files.push_back(std::move(*file));
  }
  return files;
}

}  // namespace bulkhead::isolation
