#include <vector>

#include "storage/overlay.h"
#include "sys/file.h"
#include "sys/mount_api.h"

namespace bulkhead::storage {
namespace {

SysResult<void> set_descriptor(int file_system, const char* key, int fd) noexcept {
  if (::fsconfig(file_system, FSCONFIG_SET_FD, key, nullptr, fd) != 0)
    return sys_fail("fsconfig", key);
  return {};
}

SysResult<void> set_directory(int file_system, const char* key, int parent,
                              const char* name) noexcept {
  const Fd directory(::openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return sys_fail("open", name);
  return set_descriptor(file_system, key, directory.get());
}

}  // namespace

SysResult<Fd> open_upper_parent(const Snapshot& snapshot) noexcept {
  constexpr int kFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
  if (snapshot.space) return open_at(snapshot.space.get(), ".", kFlags);
  return open_at(snapshot.store, snapshot.container.c_str(), kFlags);
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
  const Snapshotter& snapshotter = snapshotter_of(snapshot.form);
  for (const std::string& layer : snapshot.layers) {
    TRY_ASSIGN(Fd tree, snapshotter.mount_layer(snapshot.store, layer.c_str(), user_namespace));
    TRY(set_descriptor(overlay.get(), "lowerdir+", tree.get()));
    trees.push_back(std::move(tree));
  }
  TRY_ASSIGN(const Fd parent, open_upper_parent(snapshot));
  TRY(set_directory(overlay.get(), "upperdir", parent.get(), "upper"));
  TRY(set_directory(overlay.get(), "workdir", parent.get(), "work"));
  TRY_ASSIGN(Fd mount, create_mount(overlay.get(), MOUNT_ATTR_NODEV, "overlay"));
  return MountedSnapshot{std::move(mount), std::move(trees)};
}

}  // namespace bulkhead::storage
