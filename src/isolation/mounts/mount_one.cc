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
  struct stat status{};
  if (::fstat(tree, &status) != 0) return sys_fail("fstat", plan.source.c_str());
  return S_ISDIR(status.st_mode) ? Shape::kDirectory : Shape::kFile;
}

bool is_on_procfs(int fd) noexcept {
  struct statfs status{};
  return ::fstatfs(fd, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

SysResult<Fd> make_destination(const RootDir& root, const char* path, int tree,
                               const MountPlan& plan) noexcept {
  const auto shape = shape_of(tree, plan);
  if (!shape) return std::unexpected(shape.error());
  auto made =
      *shape == Shape::kDirectory ? root.make_directories(path, 0755) : root.make_file(path, 0644);
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
  destination.owned = ScratchFd(std::move(*found));
  destination.directory = destination.owned.get();
  return destination;
}

// Why the kernel denies these two to a user namespace is not easily guessed.
std::unexpected<SysError> denied(const SysError& error, const MountPlan& plan) noexcept {
  const char* call = error.call;
  if (error.error == EPERM && plan.type == "proc")
    call =
        "mount a procfs (not the owner of its pid namespace, or /proc of the host is partly "
        "hidden)";
  if (error.error == EPERM && plan.type == "sysfs")
    call =
        "mount a sysfs (not the owner of its network namespace, or /sys of the host is partly "
        "hidden)";
  return sys_fail_with(error.error, call, plan.destination());
}

const char* data_of(const MountPlan& plan) noexcept {
  return plan.data.empty() ? nullptr : plan.data.c_str();
}

// mount(2) does not say which of the options it dislikes; the new API does.
SysError name_bad_option(const SysError& error, const MountPlan& plan) noexcept {
  if (error.error != EINVAL || plan.parameters.empty()) return error;
  const auto context = open_file_system(plan.type.c_str());
  if (!context) return error;
  for (const auto& [key, value] : plan.parameters)
    if (const auto set =
            set_parameter(context->get(), key.c_str(), value ? value->c_str() : nullptr);
        !set)
      return SysError{"fsconfig (mount option)", set.error().error, key.c_str()};
  return error;
}

SysResult<void> apply_classic(const MountPlan& plan, ChildContext& child,
                              CurrentDirectory& here) noexcept {
  const auto destination = find_destination(plan, child, -1);
  if (!destination) return std::unexpected(destination.error());
  const ClassicMount mount{plan.source.c_str(), plan.type.c_str(), plan.flags, data_of(plan)};
  const auto mounted = mount_there(plan, *destination, mount, child, here);
  if (!mounted) return std::unexpected(name_bad_option(mounted.error(), plan));
  return {};
}

// A label's name says more than the option's: it is the policy that may not know it.
constexpr const char* kSetLabel = "fsconfig(context)";

SysResult<void> set_option(int context, const std::string& key,
                           const std::optional<std::string>& value) noexcept {
  auto set = set_parameter(context, key.c_str(), value ? value->c_str() : nullptr);
  if (!set && value && key == "context")
    return sys_fail_with(set.error().error, kSetLabel, value->c_str());
  return set;
}

SysResult<Fd> new_file_system(const MountPlan& plan) noexcept {
  auto opened = open_file_system(plan.type.c_str());
  if (!opened) return std::unexpected(opened.error());
  const ScratchFd context(std::move(*opened));
  TRY(set_parameter(context.get(), "source", plan.source.c_str()));
  for (const auto& [key, value] : plan.parameters) TRY(set_option(context.get(), key, value));
  const std::uint64_t late = plan.copy_up ? MOUNT_ATTR_RDONLY : 0;
  return create_mount(context.get(), plan.attributes.set & ~late, plan.type.c_str());
}

SysResult<Fd> mount_fresh(const MountPlan& plan, const Destination& destination,
                          const ChildContext& child, CurrentDirectory& here) noexcept {
  auto root = new_file_system(plan);
  if (root) {
    // Before it is covered: what tmpcopyup copies.
    if (plan.copy_up) TRY(copy_tree(destination.directory, root->get()));
    TRY(attach_at(root->get(), destination, plan));
    return root;
  }
  const bool about_parameter = std::strcmp(root.error().call, "fsconfig") == 0 ||
                               std::strcmp(root.error().call, kSetLabel) == 0;
  if (about_parameter) return root;
  if (!is_refused_api(root.error().error)) return about(root.error(), plan);
  const unsigned long late = plan.copy_up ? MS_RDONLY : 0;
  const ClassicMount classic{plan.source.c_str(), plan.type.c_str(), plan.flags & ~late,
                             data_of(plan)};
  if (auto mounted = mount_there(plan, destination, classic, child, here); !mounted)
    return denied(mounted.error(), plan);
  root = open_mounted(plan, destination, child);
  if (root && plan.copy_up) TRY(copy_tree(destination.directory, root->get()));
  return root;
}

SysResult<void> apply_fresh(const MountPlan& plan, ChildContext& child,
                            CurrentDirectory& here) noexcept {
  const auto destination = find_destination(plan, child, -1);
  if (!destination) return std::unexpected(destination.error());
  auto root = mount_fresh(plan, *destination, child, here);
  if (!root) return std::unexpected(root.error());
  MountAttributes late = plan.attributes;
  late.set &= plan.copy_up ? MOUNT_ATTR_RDONLY : 0U;
  TRY(finish_attributes(root->get(), Recursion::kThisMount, late, plan, child, here));
  if (int* slot = anchor_slot(child, plan.becomes)) {
    if (*slot >= 0) ::close(*slot);
    *slot = root->release();
  }
  return {};
}

SysResult<void> apply_bind(const MountPlan& plan, const ChildContext& child,
                           CurrentDirectory& here) noexcept {
  auto source = open_bind_source(plan.source.c_str(), plan);
  if (!source) return std::unexpected(source.error());
  if (plan.source_must_be_procfs && !is_on_procfs(source->tree.get()))
    return sys_fail_with(EPERM, "bind something other than a procfs on /proc", plan.source.c_str());
  return place_bind(std::move(*source), plan, child, here);
}

SysResult<void> apply_from_parent(const MountPlan& plan, const ChildContext& child) noexcept {
  const auto tree = child.parent.wait_for_mount(child.parent.self, *plan.parent_mount);
  if (!tree) return std::unexpected(tree.error());
  if (plan.source_must_be_procfs && !is_on_procfs(*tree))
    return sys_fail_with(EPERM, "bind something other than a procfs on /proc", plan.source.c_str());
  const auto destination = find_destination(plan, child, *tree);
  if (!destination) return std::unexpected(destination.error());
  return attach_at(*tree, *destination, plan);
}

SysResult<void> apply_remount(const MountPlan& plan, const ChildContext& child,
                              CurrentDirectory& here) noexcept {
  auto mounted = RootDir(child.root).open(plan.destination(), O_PATH);
  if (!mounted) return about(mounted.error(), plan);
  Destination destination;
  destination.owned = ScratchFd(std::move(*mounted));
  destination.directory = destination.owned.get();
  return mount_there(plan, destination, {nullptr, nullptr, plan.flags, data_of(plan)}, child, here);
}

SysResult<void> apply_one(const MountPlan& plan, ChildContext& child,
                          CurrentDirectory& here) noexcept {
  switch (plan.method) {
    case MountMethod::kClassic: return apply_classic(plan, child, here);
    case MountMethod::kFresh: return apply_fresh(plan, child, here);
    case MountMethod::kBind: return apply_bind(plan, child, here);
    case MountMethod::kFromParent: return apply_from_parent(plan, child);
    case MountMethod::kRemount: return apply_remount(plan, child, here);
    case MountMethod::kCgroup: return mount_cgroups(plan, child, here);
  }
  return sys_fail_with(EINVAL, "mount", plan.destination());
}

}  // namespace

SysResult<void> CurrentDirectory::enter(int directory) noexcept {
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

SysResult<void> attach_at(int tree, const Destination& destination,
                          const MountPlan& plan) noexcept {
  const auto attached = attach_mount(tree, destination.directory, destination.name);
  if (!attached) return about(attached.error(), plan);
  return {};
}

SysResult<void> mount_there(const MountPlan& plan, const Destination& destination,
                            const ClassicMount& mount, const ChildContext& child,
                            CurrentDirectory& here) noexcept {
  const DescriptorPath by_descriptor(destination.directory);
  const bool by_name = *destination.name != '\0';
  TRY(here.enter(by_name ? destination.directory : child.proc));
  const char* target = by_name ? destination.name : by_descriptor.c_str();
  if (::mount(mount.source, target, mount.type, mount.flags, mount.data) != 0)
    return sys_fail("mount", plan.destination());
  return {};
}

SysResult<Fd> open_mounted(const MountPlan& plan, const Destination& covered,
                           const ChildContext& child) noexcept {
  const int anchor = anchor_of(child, plan.place.anchor);
  const RootDir root(anchor >= 0 ? anchor : child.root);
  auto mounted = root.open(anchor >= 0 ? plan.place.path.c_str() : plan.destination(), O_PATH,
                           plan.exact ? Symlinks::kRefuse : Symlinks::kFollowInside);
  if (!mounted) return about(mounted.error(), plan);
  const bool still_the_old_one =
      *covered.name == '\0' && is_same_file(covered.directory, mounted->get());
  if (still_the_old_one || (plan.becomes == Anchor::kProc && !is_on_procfs(mounted->get())))
    return sys_fail_with(EXDEV, "the destination was swapped while it was mounted",
                         plan.destination());
  return mounted;
}

SysResult<void> finish_attributes(int root, Recursion recursion, const MountAttributes& attributes,
                                  const MountPlan& plan, const ChildContext& child,
                                  CurrentDirectory& here) noexcept {
  if (attributes.empty()) return {};
  here.forget();
  const auto set = set_attributes_anyhow(child.proc, root, recursion, attributes);
  if (!set) return about(set.error(), plan);
  return {};
}

SysResult<BindSource> open_bind_source(const char* path, const MountPlan& plan) noexcept {
  BindSource source;
  auto tree = clone_tree_with(AT_FDCWD, path, plan.recursion, plan.tree_attributes);
  if (!tree && tree.error().error == ENOSYS) {
    tree = clone_tree(AT_FDCWD, path, plan.recursion);
    source.has_attributes = false;
  }
  if (!tree && is_refused_api(tree.error().error)) {
    tree = open_at(AT_FDCWD, path, O_PATH);
    source.detached = source.has_attributes = false;
  }
  if (!tree) return std::unexpected(tree.error());
  source.tree = ScratchFd(std::move(*tree));
  return source;
}

SysResult<void> place_bind(BindSource source, const MountPlan& plan, const ChildContext& child,
                           CurrentDirectory& here) noexcept {
  const auto destination = find_destination(plan, child, source.tree.get());
  if (!destination) return std::unexpected(destination.error());
  if (source.detached) {
    TRY(attach_at(source.tree.get(), *destination, plan));
  } else {
    const DescriptorPath from(source.tree.get());
    Destination target;
    target.directory = destination->directory;
    if (*destination->name != '\0') {
      auto opened = open_at(destination->directory, destination->name, O_PATH | O_NOFOLLOW);
      if (!opened) return about(opened.error(), plan);
      target.owned = ScratchFd(std::move(*opened));
      target.directory = target.owned.get();
    }
    const unsigned long deep = plan.recursion == Recursion::kWholeTree ? MS_REC : 0;
    TRY(mount_there(plan, target, {from.c_str(), nullptr, MS_BIND | deep, nullptr}, child, here));
    auto mounted = open_mounted(plan, target, child);
    if (!mounted) return std::unexpected(mounted.error());
    if (!is_same_file(mounted->get(), source.tree.get()))
      return sys_fail_with(EXDEV, "the destination was swapped while it was mounted",
                           plan.destination());
    source.tree = ScratchFd(std::move(*mounted));
  }
  if (!source.has_attributes)
    TRY(finish_attributes(source.tree.get(), plan.recursion, plan.tree_attributes, plan, child,
                          here));
  return finish_attributes(source.tree.get(), Recursion::kThisMount, plan.attributes, plan, child,
                           here);
}

SysResult<void> apply_mounts(const MountsPlan& plan, ChildContext& child) noexcept {
  if (plan.mounts.empty()) return {};
  // Directories made on the way must be passable for the container's users, whatever the caller's
  // mask; the process's own mask is set by the identity layer.
  TRY(set_umask(0022));
  CurrentDirectory here;
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
    struct statx status{};
    if (::statx(AT_FDCWD, plan.destination(), AT_STATX_DONT_SYNC, STATX_TYPE, &status) != 0)
      return sys_fail("statx", plan.destination());
    if ((status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0 &&
        (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0)
      return not_held("nothing is mounted there", plan.destination());
    return {};
  }
  struct statfs status{};
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
