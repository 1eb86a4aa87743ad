#include "isolation/cgroup/paths.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::isolation::cgroup {
namespace {

constexpr std::size_t kLongestName = 255;
constexpr std::size_t kLongestPath = 3500;  // leaves room for a mount point and a file name

bool has_systemd_form(std::string_view path) {
  return path.find('/') == std::string_view::npos && std::count(path.begin(), path.end(), ':') == 2;
}

std::unexpected<Error> refuse(std::string_view path, std::string_view what, std::string hint = {}) {
  return fail(ErrorKind::kInvalid,
              std::string("/linux/cgroupsPath: ").append(quoted(path)).append(" ").append(what),
              std::move(hint));
}

}  // namespace

Result<GroupPath> group_path(std::string_view cgroups_path, std::string_view container_id) {
  if (cgroups_path.empty()) return GroupPath{std::string("/").append(container_id), true};
  if (has_systemd_form(cgroups_path))
    return refuse(cgroups_path,
                  "has the form slice:prefix:name of the systemd cgroup driver, but the "
                  "driver is cgroupfs",
                  "give a path like \"/parent/name\", or choose the systemd driver");
  GroupPath result;
  result.beneath_parent = cgroups_path.front() != '/';
  if (cgroups_path.size() > kLongestPath) return refuse(cgroups_path, "is too long");
  for (const std::string_view part : split(cgroups_path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..")
      return refuse(cgroups_path, "contains \"..\", which could lead out of the container's place");
    if (part.size() > kLongestName)
      return refuse(cgroups_path, "has a name of more than 255 bytes");
    // cgroupfs itself refuses newlines, which would forge lines of /proc/PID/cgroup.
    if (std::any_of(part.begin(), part.end(),
                    [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }))
      return refuse(cgroups_path, "contains control characters");
    result.path.append("/").append(part);
  }
  if (result.path.empty())
    return refuse(cgroups_path, "names the root of the hierarchies, which is the host's own group");
  return result;
}

}  // namespace bulkhead::isolation::cgroup
