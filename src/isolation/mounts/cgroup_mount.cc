// The container's own groups of every hierarchy, bound from the host's mounts of them: a fifth of
// the cost of mounting each anew, and the same to see. Once the cgroup namespace is entered these
// directories are its roots.
#include <fcntl.h>
#include <sys/stat.h>

#include <climits>
#include <cstring>
#include <string_view>

#include "isolation/mounts/mount_one.h"
#include "sys/file.h"
#include "sys/root_dir.h"

namespace bulkhead::isolation {
namespace {

// As /proc/self/cgroup lists them: "4:cpu,cpuacct:/path" or "0::/path" for v2.
bool is_hierarchy_of(std::string_view controllers, std::string_view controller) noexcept {
  if (controller.empty()) return controllers.empty();
  while (!controllers.empty()) {
    const std::size_t comma = controllers.find(',');
    if (controllers.substr(0, comma) == controller) return true;
    if (comma == std::string_view::npos) break;
    controllers.remove_prefix(comma + 1);
  }
  return false;
}

// This process's group in the hierarchy; empty when there is none.
std::string_view own_group(std::string_view lines, std::string_view controller) noexcept {
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(line.size() == lines.size() ? line.size() : line.size() + 1);
    const std::size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    if (is_hierarchy_of(line.substr(first + 1, second - first - 1), controller))
      return line.substr(second + 1);
  }
  return {};
}

// The group's directory on the host.
class GroupPath {
 public:
  SysResult<void> set(const CgroupView& view, std::string_view groups) noexcept {
    std::string_view group = own_group(groups, view.controller);
    if (group.empty())
      return sys_fail_with(ENOENT, "find the own cgroup", view.mount_point.c_str());
    // A group above the root of the runtime's own cgroup namespace, or beside what is mounted, has
    // no path here.
    const std::size_t above = view.mount_root.size();
    const bool beneath = group.starts_with(view.mount_root) &&
                         (above == 0 || group.size() == above || group[above] == '/');
    if (!beneath || group.starts_with("/.."))
      return sys_fail_with(EXDEV, "find the own cgroup", view.mount_point.c_str());
    group.remove_prefix(above);
    is_root_ = group.empty() || group == "/";
    if (view.mount_point.size() + group.size() >= sizeof text_)
      return sys_fail_with(ENAMETOOLONG, "find the own cgroup", view.mount_point.c_str());
    std::memcpy(text_, view.mount_point.data(), view.mount_point.size());
    std::memcpy(text_ + view.mount_point.size(), group.data(), group.size());
    text_[view.mount_point.size() + group.size()] = '\0';
    return {};
  }
  const char* c_str() const noexcept { return text_; }
  // Not a group of the container's own: the top of what the host has mounted, with the files that
  // only the top has (release_agent: CVE-2022-0492).
  bool is_root() const noexcept { return is_root_; }

 private:
  char text_[PATH_MAX];
  bool is_root_ = false;
};

constexpr MountAttributes kReadOnly{MOUNT_ATTR_RDONLY, 0, 0, -1};

SysResult<void> mount_one_hierarchy(const MountPlan& plan, std::string_view groups,
                                    const ChildContext& child, CurrentDirectory& here) noexcept {
  const CgroupView& view = plan.cgroups.front();
  GroupPath path;
  TRY(path.set(view, groups));
  auto source = open_bind_source(path.c_str(), plan);
  if (!source)
    return sys_fail_with(source.error().error, source.error().call, view.mount_point.c_str());
  TRY(place_bind(std::move(*source), plan, child, here));
  if (!path.is_root()) return {};
  const auto mounted = RootDir(child.root).open(plan.destination(), O_PATH);
  if (!mounted) return std::unexpected(mounted.error());
  return finish_attributes(mounted->get(), Recursion::kThisMount, kReadOnly, plan, child, here);
}

SysResult<Fd> directory_of_hierarchies(const MountPlan& plan) noexcept {
  auto opened = open_file_system("tmpfs");
  if (!opened) return std::unexpected(opened.error());
  const ScratchFd context(std::move(*opened));
  TRY(set_parameter(context.get(), "source", "cgroup"));
  TRY(set_parameter(context.get(), "mode", "755"));
  // Hardly room for files: only directories and links are made here.
  TRY(set_parameter(context.get(), "size", "4k"));
  TRY(set_parameter(context.get(), "nr_inodes", "64"));
  for (const auto& [key, value] : plan.parameters)
    TRY(set_parameter(context.get(), key.c_str(), value ? value->c_str() : nullptr));
  return create_mount(context.get(), 0, "tmpfs");
}

SysResult<void> finish_one(const MountPlan& plan, const CgroupView& view, int directory,
                           const MountAttributes& attributes, const ChildContext& child,
                           CurrentDirectory& here) noexcept {
  const auto mounted = open_at(directory, view.name.c_str(), O_PATH | O_DIRECTORY);
  if (!mounted) return std::unexpected(mounted.error());
  return finish_attributes(mounted->get(), Recursion::kThisMount, attributes, plan, child, here);
}

// The attributes of the directory and of all hierarchies in it: one call, or one each before
// Linux 5.12.
SysResult<void> finish_hierarchies(const MountPlan& plan, int directory, std::string_view groups,
                                   const ChildContext& child, CurrentDirectory& here) noexcept {
  const auto set = set_attributes(directory, "", Recursion::kWholeTree, plan.tree_attributes);
  if (!set && set.error().error != ENOSYS)
    return sys_fail_with(set.error().error, set.error().call, plan.destination());
  const bool writable = (plan.tree_attributes.set & MOUNT_ATTR_RDONLY) == 0;
  for (const CgroupView& view : plan.cgroups) {
    GroupPath path;
    TRY(path.set(view, groups));
    if (!set) TRY(finish_one(plan, view, directory, plan.tree_attributes, child, here));
    if (writable && path.is_root()) TRY(finish_one(plan, view, directory, kReadOnly, child, here));
  }
  if (set) return {};
  return finish_attributes(directory, Recursion::kThisMount, plan.tree_attributes, plan, child,
                           here);
}

SysResult<void> mount_all_hierarchies(const MountPlan& plan, std::string_view groups,
                                      const ChildContext& child, CurrentDirectory& here) noexcept {
  const auto destination = find_destination(plan, child, -1);
  if (!destination) return std::unexpected(destination.error());
  auto directory = directory_of_hierarchies(plan);
  if (directory) {
    TRY(attach_at(directory->get(), *destination, plan));
  } else if (is_refused_api(directory.error().error)) {
    TRY(mount_there(plan, *destination, {"cgroup", "tmpfs", 0, "mode=755,size=4k,nr_inodes=64"},
                    child, here));
    directory = open_mounted(plan, *destination, child);
  }
  if (!directory) return std::unexpected(directory.error());
  TRY(here.enter(directory->get()));
  here.forget();
  for (const CgroupView& view : plan.cgroups) {
    const char* name = view.name.c_str();
    GroupPath path;
    TRY(path.set(view, groups));
    if (::mkdirat(directory->get(), name, 0755) != 0) return sys_fail("mkdir", name);
    if (::mount(path.c_str(), name, nullptr, MS_BIND, nullptr) != 0)
      return sys_fail("mount(MS_BIND) of the cgroup", view.mount_point.c_str());
    for (const std::string& link : view.links)
      if (::symlinkat(name, directory->get(), link.c_str()) != 0)
        return sys_fail("symlink", link.c_str());
  }
  return finish_hierarchies(plan, directory->get(), groups, child, here);
}

}  // namespace

SysResult<void> mount_cgroups(const MountPlan& plan, ChildContext& child,
                              CurrentDirectory& here) noexcept {
  char buffer[8192];
  const auto groups = read_small_file_at(child.proc, "self/cgroup", buffer);
  if (!groups) return std::unexpected(groups.error());
  return plan.cgroup_directory ? mount_all_hierarchies(plan, *groups, child, here)
                               : mount_one_hierarchy(plan, *groups, child, here);
}

}  // namespace bulkhead::isolation
