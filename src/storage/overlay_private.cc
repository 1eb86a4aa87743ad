#include <sched.h>
#include <sys/stat.h>

#include "storage/overlay.h"
#include "sys/descriptors_from_child.h"
#include "sys/mount_api.h"

namespace bulkhead::storage {
namespace {

SysResult<void> mount_classic(const char* source, const char* target, const char* type,
                              unsigned long flags, const char* data) noexcept {
  if (::mount(source, target, type, flags, data) != 0) return sys_fail("mount", target);
  return {};
}

SysResult<void> attach_at(int tree, const char* name) noexcept {
  if (::mkdir(name, 0700) != 0) return sys_fail("mkdir");
  return attach_mount(tree, AT_FDCWD, name);
}

// In the process of its own. Mounts stand at short names ("0", "1", ... and "c") on a private tmpfs,
// so that the option string of many layers fits the one page that mount(2) takes.
SysResult<Fd> assemble(const Snapshot& snapshot, int user_namespace) {
  // Also moves the working directory into the new namespace: what follows is relative to it.
  if (::fchdir(snapshot.store) != 0) return sys_fail("fchdir");
  if (::unshare(CLONE_NEWNS) != 0) return sys_fail("unshare(CLONE_NEWNS)");
  TRY(mount_classic(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr));

  std::vector<Fd> trees;
  const Snapshotter& snapshotter = snapshotter_of(snapshot.form);
  for (const std::string& layer : snapshot.layers) {
    TRY_ASSIGN(Fd tree, snapshotter.mount_layer(AT_FDCWD, layer.c_str(), user_namespace));
    trees.push_back(std::move(tree));
  }
  Fd container;
  if (!snapshot.space) {
    TRY_ASSIGN(container, clone_tree(AT_FDCWD, snapshot.container.c_str(), Recursion::kThisMount));
  }
  TRY(mount_classic("none", snapshot.container.c_str(), "tmpfs", 0, "size=64k,mode=0700"));
  if (::chdir(snapshot.container.c_str()) != 0) return sys_fail("chdir");

  std::string options = "upperdir=c/upper,workdir=c/work,lowerdir=";
  for (std::size_t i = 0; i < trees.size(); ++i) {
    const std::string name = std::to_string(i);
    TRY(attach_at(trees[i].get(), name.c_str()));
    if (i != 0) options += ':';
    options += name;
  }
  TRY(attach_at(snapshot.space ? snapshot.space.get() : container.get(), "c"));
  for (const OverlayOption& option : kOverlayOptions)
    options.append(",").append(option.key).append("=").append(option.value);
  if (snapshot.upper == Upper::kDiscarded) options += ",volatile";
  if (::mkdir("m", 0700) != 0) return sys_fail("mkdir");
  TRY(mount_classic("overlay", "m", "overlay", MS_NODEV, options.c_str()));
  return clone_tree(AT_FDCWD, "m", Recursion::kThisMount);
}

}  // namespace

SysResult<Fd> mount_in_private_namespace(const Snapshot& snapshot, int user_namespace) {
  auto mounts = descriptors_from_child(1, [&](const GiveDescriptor& give) -> SysResult<void> {
    TRY_ASSIGN(const Fd mount, assemble(snapshot, user_namespace));
    give(mount);
    return {};
  });
  if (!mounts) return sys_fail_with(mounts.error().error, mounts.error().call, "overlay");
  return std::move(mounts->front());
}

}  // namespace bulkhead::storage
