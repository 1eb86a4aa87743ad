#include <vector>

#include "storage/overlay.h"
#include "sys/mount_api.h"

namespace bulkhead::storage {
namespace {

SysResult<void> set_descriptor(int file_system, const char* key, int fd) noexcept {
  if (::fsconfig(file_system, FSCONFIG_SET_FD, key, nullptr, fd) != 0)
    return sys_fail("fsconfig", key);
  return {};
}

SysResult<void> set_directory(int file_system, const char* key, const Snapshot& snapshot,
                              const char* name) noexcept {
  const Fd container(::openat(snapshot.store, snapshot.container.c_str(),
                              O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!container) return sys_fail("open", snapshot.container.c_str());
  const Fd directory(
      ::openat(container.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return sys_fail("open", name);
  return set_descriptor(file_system, key, directory.get());
}

}  // namespace

SysResult<Fd> clone_layer(int store, const char* path, int user_namespace) noexcept {
  MountAttributes attributes;
  if (user_namespace >= 0) {
    attributes.set = MOUNT_ATTR_IDMAP;
    attributes.user_namespace = user_namespace;
  }
  return clone_tree_with(store, path, Recursion::kThisMount, attributes);
}

SysResult<MountedSnapshot> mount_detached_layers(const Snapshot& snapshot,
                                                 int user_namespace) noexcept {
  TRY_ASSIGN(const Fd overlay, open_file_system("overlay"));
  for (const OverlayOption& option : kOverlayOptions)
    TRY(set_parameter(overlay.get(), option.key, option.value));
  if (snapshot.upper == Upper::kDiscarded) TRY(set_parameter(overlay.get(), "volatile", nullptr));
  // Kept until the overlay is made: closing the last descriptor of a detached tree dissolves it, and
  // the overlay, which holds the path alone until then, could no longer clone its mount.
  std::vector<Fd> trees;
  for (const std::string& layer : snapshot.layers) {
    TRY_ASSIGN(Fd tree, clone_layer(snapshot.store, layer.c_str(), user_namespace));
    TRY(set_descriptor(overlay.get(), "lowerdir+", tree.get()));
    trees.push_back(std::move(tree));
  }
  TRY(set_directory(overlay.get(), "upperdir", snapshot, "upper"));
  TRY(set_directory(overlay.get(), "workdir", snapshot, "work"));
  TRY_ASSIGN(Fd mount, create_mount(overlay.get(), MOUNT_ATTR_NODEV, "overlay"));
  return MountedSnapshot{std::move(mount), std::move(trees)};
}

}  // namespace bulkhead::storage
