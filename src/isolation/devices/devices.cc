#include "isolation/devices/devices.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "isolation/mounts/scratch_fd.h"
#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/root_dir.h"

namespace bulkhead::isolation {
namespace {

const char* subject_of(const DeviceNodePlan& node) noexcept { return node.source.c_str(); }

bool is_the_device(const struct stat& status, const DeviceNodePlan& node) noexcept {
  if ((status.st_mode & S_IFMT) != node.type) return false;
  return node.type == S_IFIFO || status.st_rdev == makedev(node.major, node.minor);
}

// The directory of a place, and the last name in it.
struct Spot {
  Fd owned;
  int directory = -1;
  const char* name = "";
};

SysResult<Spot> spot_of(const Place& place, const ChildContext& child) noexcept {
  Spot spot;
  if (place.anchor == Anchor::kDev && child.fresh_dev >= 0 &&
      place.path.find('/') == std::string::npos) {
    spot.directory = child.fresh_dev;
    spot.name = place.path.c_str();
    return spot;
  }
  const int anchor = anchor_of(child, place.anchor);
  const RootDir root(anchor >= 0 ? anchor : child.root);
  auto parent = root.make_parent(anchor >= 0 ? place.path.c_str() : place.absolute.c_str());
  if (!parent)
    return sys_fail_with(parent.error().error, parent.error().call, place.absolute.c_str());
  spot.owned = std::move(parent->directory);
  spot.directory = spot.owned.get();
  spot.name = parent->name;
  return spot;
}

// What stands there must be this very device, whoever made it.
SysResult<void> check_node(const Spot& spot, const DeviceNodePlan& node) noexcept {
  struct stat status{};
  if (::fstatat(spot.directory, spot.name, &status, AT_SYMLINK_NOFOLLOW) != 0)
    return sys_fail("fstatat", subject_of(node));
  if (!is_the_device(status, node))
    return sys_fail_with(EEXIST, "something else stands where the device goes", subject_of(node));
  return {};
}

SysResult<void> make_node(const Spot& spot, const DeviceNodePlan& node) noexcept {
  if (::mknodat(spot.directory, spot.name, node.type | node.mode,
                makedev(node.major, node.minor)) != 0)
    return sys_fail("mknod", subject_of(node));
  if ((node.uid != 0 || node.gid != 0) &&
      ::fchownat(spot.directory, spot.name, node.uid, node.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return sys_fail("fchownat", subject_of(node));
  return {};
}

// The host's node of the same path, checked by its number through the descriptor that is then
// bound: a path that was swapped in between cannot get in (CVE-2025-31133). Read-only, so that root
// inside cannot change the mode of the host's node; devices are written all the same.
constexpr MountAttributes kNodeAttributes{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
                                          0, MS_PRIVATE, -1};

// Without the new mount API.
SysResult<void> bind_node_classic(int source, const Spot& spot, const DeviceNodePlan& node,
                                  const ChildContext& child) noexcept {
  const auto target = open_at(spot.directory, spot.name, O_PATH | O_NOFOLLOW);
  if (!target) return sys_fail_with(target.error().error, target.error().call, subject_of(node));
  const auto bound = bind_classic(child.proc, source, target->get(), Recursion::kThisMount);
  if (!bound) return sys_fail_with(bound.error().error, bound.error().call, subject_of(node));
  const auto mounted = open_at(spot.directory, spot.name, O_PATH | O_NOFOLLOW);
  if (!mounted || !is_same_file(source, mounted->get()))
    return sys_fail_with(EXDEV, "the node was swapped while it was mounted", subject_of(node));
  const auto set =
      set_attributes_anyhow(child.proc, mounted->get(), Recursion::kThisMount, kNodeAttributes);
  if (!set) return sys_fail_with(set.error().error, set.error().call, subject_of(node));
  return {};
}

SysResult<void> bind_node(const Spot& spot, const DeviceNodePlan& node,
                          const ChildContext& child) noexcept {
  auto cloned =
      clone_tree_with(AT_FDCWD, node.source.c_str(), Recursion::kThisMount, kNodeAttributes);
  const bool classic = !cloned && is_refused_api(cloned.error().error);
  if (classic) cloned = open_at(AT_FDCWD, node.source.c_str(), O_PATH);
  if (!cloned) return sys_fail_with(cloned.error().error, cloned.error().call, subject_of(node));
  const ScratchFd tree(std::move(*cloned));
  struct stat status{};
  if (::fstat(tree.get(), &status) != 0) return sys_fail("fstat", subject_of(node));
  if (!is_the_device(status, node))
    return sys_fail_with(ENXIO, "the host's node is another device", subject_of(node));
  if (::mknodat(spot.directory, spot.name, S_IFREG | 0644, 0) != 0 && errno != EEXIST)
    return sys_fail("mknod", subject_of(node));
  if (classic) return bind_node_classic(tree.get(), spot, node, child);
  // Never onto a link: move_mount does not follow the last component.
  const auto attached = attach_mount(tree.get(), spot.directory, spot.name);
  if (!attached)
    return sys_fail_with(attached.error().error, attached.error().call, subject_of(node));
  return {};
}

SysResult<void> place_node(const DeviceNodePlan& node, DeviceMethod method,
                           const ChildContext& child) noexcept {
  const auto spot = spot_of(node.place, child);
  if (!spot) return std::unexpected(spot.error());
  if (method == DeviceMethod::kMake || node.type == S_IFIFO) {
    const auto made = make_node(*spot, node);
    // In a /dev that nobody else has, what was made is there.
    if (made && spot->directory == child.fresh_dev) return {};
    if (made) return check_node(*spot, node);
    if (made.error().error == EEXIST) return check_node(*spot, node);
    if (made.error().error != EPERM) return made;
  }
  // What is bound was checked by its descriptor.
  return bind_node(*spot, node, child);
}

SysResult<void> place_link(const DeviceLinkPlan& link, const ChildContext& child) noexcept {
  const auto spot = spot_of(link.place, child);
  if (!spot) return std::unexpected(spot.error());
  if (::symlinkat(link.target, spot->directory, spot->name) == 0) return {};
  // An image that brings its own /dev may have links or files there; they are its own affair.
  if (errno == EEXIST) return {};
  return sys_fail("symlinkat", link.place.absolute.c_str());
}

SysResult<void> check_bound_dev(const DevicesPlan& plan, const ChildContext& child) noexcept {
  for (const DeviceNodePlan& node : plan.nodes) {
    const auto file = RootDir(child.root).open(node.source.c_str(), O_PATH);
    if (!file)
      return sys_fail_with(file.error().error, "a device is missing in the bound /dev",
                           subject_of(node));
    struct stat status{};
    if (::fstat(file->get(), &status) != 0) return sys_fail("fstat", subject_of(node));
    if (!is_the_device(status, node))
      return sys_fail_with(EEXIST, "something else stands where the device goes", subject_of(node));
  }
  return {};
}

}  // namespace

SysResult<void> Devices::apply(const Plan& plan, ChildContext& child) noexcept {
  if (plan.method == DeviceMethod::kOnlyCheck) return check_bound_dev(plan, child);
  TRY_ASSIGN(const mode_t mask, set_umask(0));
  for (const DeviceNodePlan& node : plan.nodes) TRY(place_node(node, plan.method, child));
  for (const DeviceLinkPlan& link : plan.links) TRY(place_link(link, child));
  TRY(set_umask(mask));
  return {};
}

// A sample: the first two nodes by their path from inside the container's root.
SysResult<void> Devices::verify(const Plan& plan, ChildContext& child) noexcept {
  std::size_t checked = 0;
  for (const DeviceNodePlan& node : plan.nodes) {
    if (++checked > 2) break;
    struct stat status{};
    const bool anchored = node.place.anchor == Anchor::kDev && child.fresh_dev >= 0;
    const int directory = anchored ? child.fresh_dev : AT_FDCWD;
    const char* path = anchored ? node.place.path.c_str() : node.source.c_str();
    if (::fstatat(directory, path, &status, 0) != 0) {
      if (errno == EACCES) continue;
      return not_held("a device is missing", subject_of(node));
    }
    if (!is_the_device(status, node)) return not_held("a node is another device", subject_of(node));
  }
  return {};
}

}  // namespace bulkhead::isolation
