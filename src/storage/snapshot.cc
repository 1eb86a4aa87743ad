#include "storage/snapshot.h"

#include <sys/stat.h>

#include "base/text.h"
#include "storage/overlay.h"
#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

// Whether one layer alone can be idmapped: tells a file system or kernel that cannot from any other
// reason for an EINVAL.
bool can_idmap(const Snapshot& snapshot, int user_namespace) {
  return user_namespace < 0 ||
         clone_layer(snapshot.store, snapshot.layers[0].c_str(), user_namespace).has_value();
}

Error explain_failure(const Snapshot& snapshot, int user_namespace, const SysError& error) {
  Error plain = Error(error).within("mounting the root file system");
  if ((error.error == EINVAL || error.error == EOPNOTSUPP) && !can_idmap(snapshot, user_namespace))
    return std::move(plain)
        .with_kind(ErrorKind::kUnsupported)
        .with_hint(
            "the store's file system cannot map ids: put the store (--root) on ext4, xfs, btrfs "
            "or tmpfs (tmpfs: Linux 6.3)");
  if (error.error == EINVAL)
    return std::move(plain)
        .with_kind(ErrorKind::kUnsupported)
        .with_hint(
            "overlays over idmapped layers need Linux 5.19, and a store that does not itself "
            "lie on an overlay");
  if (error.error == ENODEV)
    return std::move(plain)
        .with_kind(ErrorKind::kUnsupported)
        .with_hint("this kernel has no overlay file system: modprobe overlay");
  return plain;
}

}  // namespace

Result<void> make_container_directory(int store, const std::string& container) {
  const char* const path = container.c_str();
  if (::mkdirat(store, path, 0700) == 0) return {};
  if (errno == ENOENT && (::mkdirat(store, "containers", 0700) == 0 || errno == EEXIST) &&
      ::mkdirat(store, path, 0700) == 0)
    return {};
  if (errno == EEXIST)
    return fail(ErrorKind::kExists, "the store has a directory " + quoted(container) + " already");
  return std::unexpected(Error(SysError{"mkdir", errno, path}));
}

Result<void> make_upper(const Snapshot& snapshot, HostUid uid, HostGid gid) {
  const char* const path = snapshot.container.c_str();
  TRY_ASSIGN(const Fd directory, open_at(snapshot.store, path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  struct stat top{};
  if (::fstatat(snapshot.store, snapshot.layers[0].c_str(), &top, AT_SYMLINK_NOFOLLOW) != 0)
    return std::unexpected(Error(SysError{"stat", errno, snapshot.layers[0].c_str()}));
  if (::mkdirat(directory.get(), "upper", 0700) != 0 ||
      ::mkdirat(directory.get(), "work", 0700) != 0)
    return std::unexpected(Error(SysError{"mkdir", errno, path}));
  if (::fchownat(directory.get(), "upper", uid.value() + top.st_uid, gid.value() + top.st_gid,
                 AT_SYMLINK_NOFOLLOW) != 0)
    return std::unexpected(Error(SysError{"chown", errno, path}));
  if (::fchmodat(directory.get(), "upper", top.st_mode & 07777, 0) != 0)
    return std::unexpected(Error(SysError{"chmod", errno, path}));
  return {};
}

Result<MountedSnapshot> mount_snapshot(const Snapshot& snapshot, int user_namespace,
                                       OverlayMethod method) {
  if (method != OverlayMethod::kPrivateNamespace) {
    auto mount = mount_detached_layers(snapshot, user_namespace);
    if (mount) return *std::move(mount);
    const int error = mount.error().error;
    // EOPNOTSUPP: before 6.5 no option of the overlay takes a descriptor. EBADF: before 6.13
    // fsconfig takes none that was opened with O_PATH, as a mount's is. EINVAL: before 6.15 it takes
    // none of a detached mount.
    if (method == OverlayMethod::kDetachedLayers ||
        (error != EINVAL && error != EBADF && error != EOPNOTSUPP && error != ENOSYS))
      return std::unexpected(explain_failure(snapshot, user_namespace, mount.error()));
  }
  auto mount = mount_in_private_namespace(snapshot, user_namespace);
  if (!mount) return std::unexpected(explain_failure(snapshot, user_namespace, mount.error()));
  return MountedSnapshot{*std::move(mount), {}};
}

Result<void> remove_container_directory(int store, const std::string& container) {
  TRY(remove_tree_at(store, container.c_str()));
  return {};
}

}  // namespace bulkhead::storage
