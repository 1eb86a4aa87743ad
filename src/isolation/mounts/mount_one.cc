#include "isolation/mounts/mount_one.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <cstring>

#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/root_dir.h"

namespace bulkhead::isolation {
namespace {

// The same failure, said about the destination.
std::unexpected<SysError> about(const SysError& error, const MountPlan& plan) noexcept {
  return sys_fail_with(error.error, error.call, plan.destination());
}

SysResult<Shape> shape_of(int tree, const MountPlan& plan) noexcept {
  if (tree < 0) return Shape::kDirectory;
  struct stat status {};
  if (::fstat(tree, &status) != 0) return sys_fail("fstat", plan.source.c_str());
  return S_ISDIR(status.st_mode) ? Shape::kDirectory : Shape::kFile;
}

bool is_on_procfs(int fd) noexcept {
  struct statfs status {};
  return ::fstatfs(fd, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

SysResult<Fd> make_destination(const RootDir& root, const char* path, int tree,
                               const MountPlan& plan) noexcept {
  const auto shape = shape_of(tree, plan);
  if (!shape) return std::unexpected(shape.error());
  auto made = *shape == Shape::kDirectory ? root.make_directories(path, 0755)
                                          : root.make_file(path, 0644);
  if (!made) return about(made.error(), plan);
  return made;
}

// Beneath a root whose content is hostile.
SysResult<Destination> resolve_destination(const MountPlan& plan, const ChildContext& child,
                                           int tree) noexcept {
  const int anchor = anchor_of(child, plan.place.anchor);
  const RootDir root(anchor >= 0 ? anchor : child.root);
  const char* path = anchor >= 0 ? plan.place.path.c_str() : plan.destination();
  // A path without links is where it says it is; describe() has judged it by its name.
  auto found = root.open(path, O_PATH, Symlinks::kRefuse);
  if (!found && found.error().error == ELOOP && !plan.exact) {
    found = root.open(path, O_PATH);
    // Through a link of the image: /proc under another name is still out of bounds.
    if (found && plan.place.anchor != Anchor::kProc && is_on_procfs(found->get()))
      return sys_fail_with(EPERM, "mount through a symbolic link into procfs", plan.destination());
  }
  if (!found && found.error().error == ENOENT) found = make_destination(root, path, tree, plan);
  if (!found) {
    if (found.error().error == ELOOP && plan.exact)
      return sys_fail_with(ELOOP, "mount where the image has a symbolic link", plan.destination());
    return about(found.error(), plan);
  }
  Destination destination;
  destination.owned = std::move(*found);
  destination.directory = destination.owned.get();
  return destination;
}

// mount(2) there: relative to a directory that nobody else can write, or by descriptor.
SysResult<void> mount_there(const MountPlan& plan, const Destination& destination,
                            const char* source, const char* type, unsigned long flags,
                            const char* data, const ChildContext& child,
                            WorkingDirectory& here) noexcept {
  const DescriptorPath by_descriptor(destination.directory);
  const bool by_name = *destination.name != '\0';
  TRY(here.enter(by_name ? destination.directory : child.proc));
  const char* target = by_name ? destination.name : by_descriptor.c_str();
  if (::mount(source, target, type, flags, data) != 0) return sys_fail("mount", plan.destination());
  return {};
}

struct FlagPair {
  std::uint64_t attribute;
  unsigned long flag;
};
constexpr FlagPair kFlags[] = {
    {MOUNT_ATTR_RDONLY, MS_RDONLY},         {MOUNT_ATTR_NOSUID, MS_NOSUID},
    {MOUNT_ATTR_NODEV, MS_NODEV},           {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
    {MOUNT_ATTR_NOATIME, MS_NOATIME},       {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME},
    {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, {MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW}};

SysResult<void> apply_classic(const MountPlan& plan, ChildContext& child,
                              WorkingDirectory& here) noexcept {
  const auto destination = find_destination(plan, child, -1);
  if (!destination) return std::unexpected(destination.error());
  return mount_there(plan, *destination, plan.source.c_str(), plan.type.c_str(), plan.flags,
                     plan.data.empty() ? nullptr : plan.data.c_str(), child, here);
}

SysResult<Fd> new_file_system(const MountPlan& plan) noexcept {
  auto context = open_file_system(plan.type.c_str());
  if (!context) return std::unexpected(context.error());
  TRY(set_parameter(context->get(), "source", plan.source.c_str()));
  for (const auto& [key, value] : plan.parameters)
    TRY(set_parameter(context->get(), key.c_str(), value ? value->c_str() : nullptr));
  const std::uint64_t late = plan.copy_up ? MOUNT_ATTR_RDONLY : 0;
  return create_mount(context->get(), plan.attributes.set & ~late, plan.type.c_str());
}

// Without the new mount API: mount(2), and the new root opened by its path. It must be the kind of
// file system that was mounted; on a hostile image that is as far as it goes.
SysResult<Fd> mount_and_open(const MountPlan& plan, const Destination& destination,
                             ChildContext& child, WorkingDirectory& here) noexcept {
  const unsigned long late = plan.copy_up ? MS_RDONLY : 0;
  TRY(mount_there(plan, destination, plan.source.c_str(), plan.type.c_str(), plan.flags & ~late,
                  plan.data.empty() ? nullptr : plan.data.c_str(), child, here));
  struct stat before {};
  struct stat after {};
  if (::fstat(destination.directory, &before) != 0) return sys_fail("fstat", plan.destination());
  auto root = RootDir(child.root).open(plan.destination(), O_PATH | O_DIRECTORY,
                                       plan.exact ? Symlinks::kRefuse : Symlinks::kFollowInside);
  if (!root) return about(root.error(), plan);
  if (::fstat(root->get(), &after) != 0) return sys_fail("fstat", plan.destination());
  const bool same_place = *destination.name == '\0' && before.st_dev == after.st_dev &&
                          before.st_ino == after.st_ino;
  if (same_place || (plan.becomes == Anchor::kProc && !is_on_procfs(root->get())))
    return sys_fail_with(EXDEV, "the destination was swapped while it was mounted", plan.destination());
  return root;
}

SysResult<void> apply_fresh(const MountPlan& plan, ChildContext& child,
                            WorkingDirectory& here) noexcept {
  auto root = new_file_system(plan);
  if (!root && std::strcmp(root.error().call, "fsconfig") == 0) return std::unexpected(root.error());
  if (!root && !is_refused_api(root.error().error)) return about(root.error(), plan);
  // Before it is covered: what tmpcopyup copies.
  const auto destination = find_destination(plan, child, -1);
  if (!destination) return std::unexpected(destination.error());
  if (root && !plan.copy_up) {
    TRY(attach_at(root->get(), *destination, plan));
  } else if (root) {
    TRY(copy_tree(destination->directory, root->get()));
    TRY(attach_at(root->get(), *destination, plan));
  } else {
    root = mount_and_open(plan, *destination, child, here);
    if (!root) return std::unexpected(root.error());
    if (plan.copy_up) TRY(copy_tree(destination->directory, root->get()));
  }
  MountAttributes late = plan.attributes;
  late.set &= plan.copy_up ? MOUNT_ATTR_RDONLY : 0U;
  TRY(set_attributes_late(root->get(), Recursion::kThisMount, late, plan, child, here));
  if (int* slot = anchor_slot(child, plan.becomes)) {
    if (*slot >= 0) ::close(*slot);
    *slot = root->release();
  }
  return {};
}

SysResult<void> apply_bind(const MountPlan& plan, ChildContext& child,
                           WorkingDirectory& here) noexcept {
  Fd own;
  int tree = -1;
  bool attributes_later = false;
  if (plan.method == MountMethod::kFromParent) {
    const auto received = child.parent.wait_for_mount(child.parent.self, *plan.parent_mount);
    if (!received) return std::unexpected(received.error());
    tree = *received;
  } else {
    auto cloned = clone_tree_with(AT_FDCWD, plan.source.c_str(), plan.recursion, plan.tree_attributes);
    if (!cloned && cloned.error().error == ENOSYS) {
      cloned = clone_tree(AT_FDCWD, plan.source.c_str(), plan.recursion);
      attributes_later = true;
    }
    if (!cloned) return std::unexpected(cloned.error());
    own = std::move(*cloned);
    tree = own.get();
  }
  if (plan.source_must_be_procfs && !is_on_procfs(tree))
    return sys_fail_with(EPERM, "bind something other than a procfs on /proc", plan.source.c_str());
  const auto destination = find_destination(plan, child, tree);
  if (!destination) return std::unexpected(destination.error());
  if (plan.method == MountMethod::kBind && !plan.attributes.empty() && !attributes_later) {
    if (auto set = set_attributes(tree, "", Recursion::kThisMount, plan.attributes); !set)
      return sys_fail_with(set.error().error, set.error().call, plan.source.c_str());
  }
  TRY(attach_at(tree, *destination, plan));
  if (!attributes_later) return {};
  TRY(set_attributes_late(tree, plan.recursion, plan.tree_attributes, plan, child, here));
  return set_attributes_late(tree, Recursion::kThisMount, plan.attributes, plan, child, here);
}

SysResult<void> apply_remount(const MountPlan& plan, ChildContext& child,
                              WorkingDirectory& here) noexcept {
  const auto mounted = RootDir(child.root).open(plan.destination(), O_PATH);
  if (!mounted) return about(mounted.error(), plan);
  Destination destination;
  destination.directory = mounted->get();
  return mount_there(plan, destination, nullptr, nullptr, plan.flags,
                     plan.data.empty() ? nullptr : plan.data.c_str(), child, here);
}

SysResult<void> apply_one(const MountPlan& plan, ChildContext& child,
                          WorkingDirectory& here) noexcept {
  switch (plan.method) {
    case MountMethod::kClassic: return apply_classic(plan, child, here);
    case MountMethod::kFresh: return apply_fresh(plan, child, here);
    case MountMethod::kBind:
    case MountMethod::kFromParent: return apply_bind(plan, child, here);
    case MountMethod::kRemount: return apply_remount(plan, child, here);
    case MountMethod::kCgroup: return mount_cgroups(plan, child, here);
  }
  return sys_fail_with(EINVAL, "mount", plan.destination());
}

}  // namespace

SysResult<void> WorkingDirectory::enter(int directory) noexcept {
  if (now_ == directory) return {};
  if (::fchdir(directory) != 0) return sys_fail("fchdir");
  now_ = directory;
  return {};
}

SysResult<Destination> find_destination(const MountPlan& plan, const ChildContext& child,
                                        int tree) noexcept {
  const bool one_step = plan.place.path.find('/') == std::string::npos;
  if (plan.place.anchor != Anchor::kDev || child.fresh_dev < 0 || !one_step)
    return resolve_destination(plan, child, tree);
  // In a /dev that is new and ours there is nothing but what we made.
  const auto shape = shape_of(tree, plan);
  if (!shape) return std::unexpected(shape.error());
  Destination destination;
  destination.directory = child.fresh_dev;
  destination.name = plan.place.path.c_str();
  const int made = *shape == Shape::kDirectory
                       ? ::mkdirat(child.fresh_dev, destination.name, 0755)
                       : ::mknodat(child.fresh_dev, destination.name, S_IFREG | 0644, 0);
  if (made != 0 && errno != EEXIST) return sys_fail("mkdir", plan.destination());
  return destination;
}

SysResult<void> attach_at(int tree, const Destination& destination, const MountPlan& plan) noexcept {
  const auto attached = attach_mount(tree, destination.directory, destination.name);
  if (!attached) return about(attached.error(), plan);
  return {};
}

SysResult<void> set_attributes_late(int root, Recursion recursion, const MountAttributes& attributes,
                                    const MountPlan& plan, const ChildContext& child,
                                    WorkingDirectory& here) noexcept {
  if (attributes.empty()) return {};
  const auto set = set_attributes(root, "", recursion, attributes);
  if (set) return {};
  if (set.error().error != ENOSYS) return about(set.error(), plan);
  // Before Linux 5.12: the same by mount(2), which cannot do it for a whole tree.
  const bool changes = attributes.set != 0 || attributes.clear != 0;
  if (changes && recursion == Recursion::kWholeTree)
    return sys_fail_with(ENOSYS, "mount_setattr(AT_RECURSIVE), Linux 5.12", plan.destination());
  const DescriptorPath path(root);
  TRY(here.enter(child.proc));
  if (changes) {
    struct statfs status {};
    if (::fstatfs(root, &status) != 0) return sys_fail("fstatfs", plan.destination());
    // What was in force stays in force; the names of statvfs and of mount have the same values.
    auto flags = static_cast<unsigned long>(status.f_flags) &
                 (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME);
    for (const auto& pair : kFlags) {
      if ((attributes.clear & pair.attribute) != 0) flags &= ~pair.flag;
      if ((attributes.set & pair.attribute) == pair.attribute) flags |= pair.flag;
    }
    if (::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_BIND | flags, nullptr) != 0)
      return sys_fail("mount(MS_REMOUNT)", plan.destination());
  }
  const unsigned long deep = recursion == Recursion::kWholeTree ? MS_REC : 0;
  if (attributes.propagation != 0 &&
      ::mount(nullptr, path.c_str(), nullptr, attributes.propagation | deep, nullptr) != 0)
    return sys_fail("mount(propagation)", plan.destination());
  return {};
}

SysResult<void> apply_mounts(const MountsPlan& plan, ChildContext& child) noexcept {
  if (plan.mounts.empty()) return {};
  // Directories made on the way must be passable for the container's users, whatever the caller's
  // mask; the process's own mask is set by the identity layer.
  ::umask(0022);
  WorkingDirectory here;
  for (const MountPlan& mount : plan.mounts) TRY(apply_one(mount, child, here));
  return {};
}

namespace {

SysResult<void> verify_one(const MountPlan& plan) noexcept {
  // MOUNT_ATTR_* of these four have the values of their ST_* twins.
  constexpr std::uint64_t kShown = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC;
  const std::uint64_t asked = (plan.tree_attributes.set | plan.attributes.set) & kShown;
  const bool proc = plan.type == "proc";
  const bool sysfs = plan.type == "sysfs";
  if (asked == 0 && !proc && !sysfs) {
    struct statx status {};
    if (::statx(AT_FDCWD, plan.destination(), AT_STATX_DONT_SYNC, STATX_TYPE, &status) != 0)
      return sys_fail("statx", plan.destination());
    if ((status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0 &&
        (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0)
      return not_held("nothing is mounted there", plan.destination());
    return {};
  }
  struct statfs status {};
  if (::statfs(plan.destination(), &status) != 0) return sys_fail("statfs", plan.destination());
  if ((static_cast<std::uint64_t>(status.f_flags) & asked) != asked)
    return not_held("a mount lacks read-only, nosuid, nodev or noexec", plan.destination());
  if ((proc && status.f_type != PROC_SUPER_MAGIC) || (sysfs && status.f_type != SYSFS_MAGIC))
    return not_held("another file system is mounted there", plan.destination());
  return {};
}

}  // namespace

// One call per mount, by its path as the container will use it.
SysResult<void> verify_mounts(const MountsPlan& plan, ChildContext&) noexcept {
  for (const MountPlan& mount : plan.mounts) {
    if (mount.hidden) continue;
    const auto held = verify_one(mount);
    // Behind a directory that is closed to the process's user, whom the mount is closed to as well.
    if (!held && held.error().error != EACCES) return held;
  }
  return {};
}

}  // namespace bulkhead::isolation
