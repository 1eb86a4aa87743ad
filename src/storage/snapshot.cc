#include "storage/snapshot.h"

#include <sys/stat.h>

#include "base/text.h"
#include "storage/limited_space.h"
#include "storage/overlay.h"
#include "storage/project_quota.h"
#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

// Whether one layer alone can be idmapped: tells a file system or kernel that cannot from any other
// reason for an EINVAL.
bool can_idmap(const Snapshot& snapshot, int user_namespace) {
  return user_namespace < 0 ||
         snapshotter_of(snapshot.form)
             .mount_layer(snapshot.store, snapshot.layers[0].c_str(), user_namespace)
             .has_value();
}

// What only layers in EROFS images fail with; nothing when it is none of that.
std::optional<Error> explain_erofs_failure(const Snapshot& snapshot, const SysError& error) {
  if (snapshot.form.form != LayerForm::kErofs) return std::nullopt;
  const auto unsupported = [&](std::string hint) {
    return Error(error)
        .within("mounting a layer's EROFS image")
        .with_kind(ErrorKind::kUnsupported)
        .with_hint(std::move(hint));
  };
  if (error.error == EOPNOTSUPP)
    return unsupported(
        "direct I/O needs a store on a file system that has it, such as ext4, xfs or btrfs; "
        "without --storage-opt directio, layers are read through the page cache");
  if (error.error == ENODEV)
    return unsupported("this kernel has no EROFS: modprobe erofs, or --storage overlay");
  if (std::string_view(error.call).starts_with("ioctl(LOOP") ||
      (error.subject != nullptr && std::string_view(error.subject).starts_with("/dev/loop")))
    return unsupported(
        "before Linux 6.12 (with direct I/O 6.14) EROFS images need loop devices: modprobe loop, "
        "or --storage overlay");
  return std::nullopt;
}

Error explain_failure(const Snapshot& snapshot, int user_namespace, const SysError& error) {
  if (auto explained = explain_erofs_failure(snapshot, error)) return *std::move(explained);
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

Result<void> make_upper(Snapshot& snapshot, HostUid uid, HostGid gid) {
  struct stat top{};
  if (::fstatat(snapshot.store, snapshot.layers[0].c_str(), &top, AT_SYMLINK_NOFOLLOW) != 0)
    return std::unexpected(Error(SysError{"stat", errno, snapshot.layers[0].c_str()}));
  if (snapshot.limit) {
    TRY_ASSIGN(snapshot.space, make_limited_space(snapshot));
  }
  TRY_ASSIGN(const Fd parent, open_upper_parent(snapshot));
  const char* const path = snapshot.container.c_str();
  if (::mkdirat(parent.get(), "upper", 0700) != 0 || ::mkdirat(parent.get(), "work", 0700) != 0)
    return std::unexpected(Error(SysError{"mkdir", errno, path}));
  if (snapshot.limit && snapshot.limit->method == LimitMethod::kProjectQuota)
    TRY(limit_by_quota(parent.get(), {uid.value(), snapshot.limit->bytes}));
  if (::fchownat(parent.get(), "upper", uid.value() + top.st_uid, gid.value() + top.st_gid,
                 AT_SYMLINK_NOFOLLOW) != 0)
    return std::unexpected(Error(SysError{"chown", errno, path}));
  if (::fchmodat(parent.get(), "upper", top.st_mode & 07777, 0) != 0)
    return std::unexpected(Error(SysError{"chmod", errno, path}));
  return {};
}

Result<MountedSnapshot> mount_snapshot(const Snapshot& snapshot, int user_namespace,
                                       OverlayMethod method) {
  if (snapshot.layers.size() > kMostLowerLayers)
    return fail(ErrorKind::kUnsupported,
                "the image has " + std::to_string(snapshot.layers.size()) +
                    " layers, and the kernel's overlay stacks no more than " +
                    std::to_string(kMostLowerLayers),
                "build it with fewer: squash layers, or join its RUN instructions");
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

Result<void> lift_limit(int store, const SizeLimit& limit, HostUid uid) {
  if (limit.method != LimitMethod::kProjectQuota) return {};
  if (const auto cleared = clear_project_limit(store, uid.value()); !cleared)
    return std::unexpected(Error(cleared.error()).within("taking the size limit away"));
  return {};
}

Result<void> remove_container_directory(int store, const std::string& container) {
  TRY(remove_tree_at(store, container.c_str()));
  return {};
}

}  // namespace bulkhead::storage
