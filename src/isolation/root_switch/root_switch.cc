#include "isolation/root_switch/root_switch.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <utility>

#include "base/text.h"
#include "isolation/mounts/options.h"
#include "isolation/root_switch/old_mounts.h"
#include "sys/mount_api.h"

namespace bulkhead::isolation {
namespace {

SysResult<void> pivot() noexcept {
  // The new root is both: the old one lands on top of it, and "." still means what lies beneath.
  if (::syscall(SYS_pivot_root, ".", ".") != 0)
    return sys_fail(errno == EINVAL
                        ? "pivot_root (a host that runs from its initial ramfs needs --no-pivot)"
                        : "pivot_root",
                    "/");
  if (::umount2(".", MNT_DETACH) != 0) return sys_fail("umount of the host's root", "/");
  return {};
}

// --no-pivot, for hosts whose root is the initial ramfs. The container's root lies on top of "/"
// already, so that even ".." from a chroot inside ends in it again.
SysResult<void> change_root(const ChildContext& child) noexcept {
  TRY(unmount_old_mounts(child.proc));
  if (::fchdir(child.root) != 0) return sys_fail("fchdir", "/");
  if (::chroot(".") != 0) return sys_fail("chroot", "/");
  return {};
}

// Read-only and propagation of the root mount, on any kernel.
SysResult<void> finish(const RootSwitchPlan& plan, const ChildContext& child) noexcept {
  MountAttributes alone;
  MountAttributes tree;
  if (plan.read_only) alone.set = MOUNT_ATTR_RDONLY;
  (plan.propagation_recursive ? tree : alone).propagation = plan.propagation;
  for (const auto& [attributes, recursion] :
       {std::pair{tree, Recursion::kWholeTree}, std::pair{alone, Recursion::kThisMount}}) {
    const auto set = set_attributes_anyhow(child.proc, child.root, recursion, attributes);
    if (!set) return sys_fail_with(set.error().error, set.error().call, "/");
  }
  // set_attributes_anyhow may have left us in the host's procfs.
  if (::chdir("/") != 0) return sys_fail("chdir", "/");
  return {};
}

struct Place {
  dev_t device;
  ino_t inode;
  bool operator==(const Place&) const = default;
};

SysResult<Place> place_of(int directory, const char* path) noexcept {
  struct stat status{};
  if (::fstatat(directory, path, &status, AT_EMPTY_PATH) != 0) return sys_fail("fstatat", path);
  return Place{status.st_dev, status.st_ino};
}

}  // namespace

Result<RootSwitchPlan> RootSwitch::describe(const Request& request, const HostFacts&) {
  Plan plan;
  plan.method = request.root_switch;
  plan.read_only = request.spec.root && request.spec.root->readonly;
  const std::string& wish = request.spec.linux_.rootfs_propagation;
  if (wish.empty()) return plan;
  const auto propagation = parse_propagation(wish);
  if (!propagation)
    return fail(ErrorKind::kInvalid, "/linux/rootfsPropagation: unknown mode " + quoted(wish),
                "use private, slave, shared or unbindable, or one of them with an r in front");
  plan.propagation = propagation->mode;
  plan.propagation_recursive = propagation->recursive;
  return plan;
}

Explanation RootSwitch::explain(const Plan& plan) {
  Explanation explanation;
  if (plan.method == RootSwitchMethod::kPivotRoot)
    explanation.facts.push_back({"method", "pivot_root", "and the host's tree is unmounted"});
  else
    explanation.facts.push_back(
        {"method", "chroot", "--no-pivot was asked for: the host's mounts lie hidden beneath"});
  explanation.facts.push_back({"root", plan.read_only ? "read-only" : "writable", ""});
  if (plan.propagation != 0)
    explanation.facts.push_back(
        {"propagation", propagation_name(plan.propagation, plan.propagation_recursive), ""});
  return explanation;
}

SysResult<void> RootSwitch::apply(const Plan& plan, ChildContext& child) noexcept {
  if (child.root < 0) return sys_fail_with(EBADF, "switch to a root that was never mounted", "/");
  if (plan.method == RootSwitchMethod::kPivotRoot) {
    if (::fchdir(child.root) != 0) return sys_fail("fchdir", "/");
    TRY(pivot());
  } else {
    TRY(change_root(child));
  }
  return finish(plan, child);
}

SysResult<void> RootSwitch::verify(const Plan& plan, ChildContext& child) noexcept {
  const auto root = place_of(child.root, "");
  if (!root) return std::unexpected(root.error());
  const auto here = place_of(AT_FDCWD, "/");
  if (!here) return std::unexpected(here.error());
  if (*here != *root) return not_held("the process's root is not the container's", "/");
  // What lies above: with a second root in this namespace it would be another directory.
  struct statx root_mount{};
  struct statx above{};
  if (::statx(child.root, "", AT_EMPTY_PATH, STATX_MNT_ID, &root_mount) != 0 ||
      ::statx(AT_FDCWD, "/..", 0, STATX_MNT_ID, &above) != 0)
    return sys_fail("statx", "/..");
  if ((root_mount.stx_mask & STATX_MNT_ID) != 0 && root_mount.stx_mnt_id != above.stx_mnt_id)
    return not_held("there is something above the root", "/..");
  if (!plan.read_only) return {};
  struct statfs status{};
  if (::statfs("/", &status) != 0) return sys_fail("statfs", "/");
  if ((status.f_flags & ST_RDONLY) == 0) return not_held("the root is writable", "/");
  return {};
}

}  // namespace bulkhead::isolation
