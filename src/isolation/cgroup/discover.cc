#include "isolation/cgroup/discover.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

// Spaces, tabs, newlines and backslashes stand as \ooo in mountinfo.
std::string unescape(std::string_view field) {
  std::string text;
  text.reserve(field.size());
  for (std::size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size()) {
      if (const auto byte = parse_number<unsigned>(field.substr(i + 1, 3), 8);
          byte && *byte < 256) {
        text.push_back(static_cast<char>(*byte));
        i += 3;
        continue;
      }
    }
    text.push_back(field[i]);
  }
  return text;
}

// `path` is `directory` or lies beneath it.
bool is_within(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.starts_with('/');
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

struct MountLine {
  std::string root;
  std::string mount_point;
  std::string_view type;  // this and the options: within the line
  std::string_view super_options;
};

// proc(5): id parent major:minor root mount-point options optional… - type source super-options
std::optional<MountLine> parse_mount(std::string_view line) {
  const std::size_t separator = line.find(" - ");
  if (separator == std::string_view::npos) return std::nullopt;
  std::string_view rest = line.substr(separator + 3);
  MountLine mount;
  mount.type = next_field(rest, ' ');
  next_field(rest, ' ');
  mount.super_options = rest;
  std::string_view head = line.substr(0, separator);
  for (int field = 0; field < 3; ++field) next_field(head, ' ');
  mount.root = unescape(next_field(head, ' '));
  mount.mount_point = unescape(next_field(head, ' '));
  if (mount.mount_point.empty() || mount.mount_point.front() != '/') return std::nullopt;
  return mount;
}

// One line of /proc/self/cgroup.
struct OwnGroup {
  std::string_view controllers;  // empty: v2
  std::string_view path;
};

std::vector<OwnGroup> parse_own_groups(std::string_view text) {
  std::vector<OwnGroup> groups;
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    const std::string_view number = next_field(line, ':');
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !parse_number<unsigned>(number)) continue;
    OwnGroup group{line.substr(0, colon), line.substr(colon + 1)};
    // A name= hierarchy may hold a colon; the path always begins with '/'.
    if (group.path.empty() || group.path.front() != '/') continue;
    if (group.controllers.empty() && number != "0") continue;
    groups.push_back(group);
  }
  return groups;
}

// Whether the mount is of the hierarchy that has these controllers: all of them are among its
// options.
bool is_mount_of(const MountLine& mount, const OwnGroup& group) {
  if (group.controllers.empty()) return mount.type == "cgroup2";
  if (mount.type != "cgroup") return false;
  std::string_view controllers = group.controllers;
  while (!controllers.empty()) {
    const std::string_view controller = next_field(controllers, ',');
    std::string_view options = mount.super_options;
    bool found = false;
    while (!options.empty() && !found) found = next_field(options, ',') == controller;
    if (!found) return false;
  }
  return true;
}

enum class Reach { kNone, kElsewhere, kOwnGroup, kWhole };

Reach reach_of(const MountLine& mount, const OwnGroup& group) {
  if (mount.root == "/") return Reach::kWhole;
  // Roots outside a cgroup namespace show as "/..", and what they hold cannot be named.
  if (mount.root.empty() || mount.root.front() != '/' || mount.root.starts_with("/.."))
    return Reach::kElsewhere;
  return is_within(group.path, mount.root) ? Reach::kOwnGroup : Reach::kElsewhere;
}

struct Found {
  Reach reach = Reach::kNone;
  std::string root;
  std::string mount_point;
};

CgroupHierarchy hierarchy_of(const OwnGroup& group, const Found& found) {
  CgroupHierarchy hierarchy;
  hierarchy.v2 = group.controllers.empty();
  if (!hierarchy.v2)
    for (const std::string_view controller : split(group.controllers, ','))
      hierarchy.controllers.emplace_back(controller);
  hierarchy.mount_point = found.mount_point;
  hierarchy.mount_root = found.root;
  hierarchy.own_path = "/";
  if (found.reach == Reach::kWhole) {
    if (!group.path.starts_with("/..")) hierarchy.own_path = group.path;
  } else if (group.path.size() > found.root.size()) {
    hierarchy.own_path = group.path.substr(found.root.size());
  }
  return hierarchy;
}

// Line by line, so that a caller can stop reading a long file as soon as everything is found.
class Search {
 public:
  explicit Search(std::string_view own_groups)
      : groups_(parse_own_groups(own_groups)), found_(groups_.size()) {}

  void line(std::string_view text) {
    // Only two types matter: the others' lines are not worth unescaping.
    const std::size_t type = text.find(" - cgroup");
    const std::optional<MountLine> mount =
        type == std::string_view::npos ? std::nullopt : parse_mount(text);
    if (!mount) return;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      if (!is_mount_of(*mount, groups_[i])) continue;
      const Reach reach = reach_of(*mount, groups_[i]);
      // The same place again is a mount over the earlier one, and hides it.
      const bool over =
          found_[i].reach != Reach::kNone && found_[i].mount_point == mount->mount_point;
      if (over || reach > found_[i].reach) found_[i] = {reach, mount->root, mount->mount_point};
      return;
    }
  }

  bool complete() const {
    return std::all_of(found_.begin(), found_.end(),
                       [](const Found& found) { return found.reach == Reach::kWhole; });
  }

  std::vector<CgroupHierarchy> take() const {
    std::vector<CgroupHierarchy> result;
    for (std::size_t i = 0; i < groups_.size(); ++i)
      if (found_[i].reach > Reach::kElsewhere)
        result.push_back(hierarchy_of(groups_[i], found_[i]));
    return result;
  }

 private:
  std::vector<OwnGroup> groups_;
  std::vector<Found> found_;
};

// Reads mountinfo in the kernel's own portions. A host with many containers has thousands of
// mounts, each of which costs the kernel microseconds; the hierarchies are among the first.
Result<void> search_mounts(Search& search) {
  TRY_ASSIGN(const Fd file, open_at(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY));
  std::string pending;
  std::array<char, 4096> portion;
  while (!search.complete()) {
    const ssize_t size = ::read(file.get(), portion.data(), portion.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(Error(SysError{"read", errno, "/proc/self/mountinfo"}));
    if (size == 0) break;
    pending.append(portion.data(), static_cast<std::size_t>(size));
    std::string_view rest = pending;
    for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      search.line(rest.substr(0, end));
      rest.remove_prefix(end + 1);
    }
    pending.erase(0, pending.size() - rest.size());
  }
  return {};
}

// Delegation is by ownership: of the directory, and of the files that move processes and hand
// controllers on (Documentation/admin-guide/cgroup-v2.rst, "Delegation").
bool is_delegated(const std::string& directory) {
  constexpr const char* kFiles[] = {"", "/cgroup.procs", "/cgroup.subtree_control"};
  return std::all_of(std::begin(kFiles), std::end(kFiles), [&](const char* file) {
    return ::faccessat(AT_FDCWD, (directory + file).c_str(), W_OK, AT_EACCESS) == 0;
  });
}

std::string delegated_path(const CgroupHierarchy& hierarchy) {
  const std::size_t slash = hierarchy.own_path.rfind('/');
  if (slash == 0 || slash == std::string::npos) return {};  // the root, or right beneath it
  std::string above = hierarchy.own_path.substr(0, slash);
  return is_delegated(hierarchy.mount_point + above) ? above : std::string();
}

}  // namespace

std::vector<CgroupHierarchy> parse_cgroup_hierarchies(std::string_view mountinfo,
                                                      std::string_view own_groups) {
  Search search(own_groups);
  while (!mountinfo.empty()) search.line(next_field(mountinfo, '\n'));
  return search.take();
}

Result<std::vector<CgroupHierarchy>> discover_cgroup_hierarchies() {
  TRY_ASSIGN(const std::string own_groups, read_file_at(AT_FDCWD, "/proc/self/cgroup"));
  Search search(own_groups);
  TRY(search_mounts(search));
  std::vector<CgroupHierarchy> hierarchies = search.take();
  for (CgroupHierarchy& hierarchy : hierarchies) {
    if (!hierarchy.v2) continue;
    hierarchy.delegated_path = delegated_path(hierarchy);
    TRY_ASSIGN(const std::string controllers,
               read_file_at(AT_FDCWD, (hierarchy.mount_point + "/cgroup.controllers").c_str()));
    for (const std::string_view controller : split(trim(controllers), ' '))
      if (!controller.empty()) hierarchy.controllers.emplace_back(controller);
  }
  return hierarchies;
}

}  // namespace bulkhead::isolation
