#include "volumes/space.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/text.h"
#include "storage/limited_space.h"
#include "sys/descriptors_from_child.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/mount_api.h"
#include "volumes/fill.h"
#include "volumes/memory.h"
#include "volumes/volumes.h"

namespace bulkhead::volumes {
namespace {

constexpr std::uint64_t kStraight =
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

Result<Fd> open_root(const Fd& volume, const Meaning& meaning) {
  if (meaning.kind == Kind::kMemory) return open_memory(volume, meaning);
  if (meaning.kind != Kind::kImage) {
    TRY_ASSIGN(Fd root, open_at(volume.get(), ".", O_RDONLY | O_DIRECTORY));
    return root;
  }
  TRY_ASSIGN(const Fd image, open_at(volume.get(), storage::kImageFile, O_RDWR | O_NOFOLLOW));
  // One at a time: of two devices for one file, neither would know of the other. The device keeps the file
  // that it is given open, and a lock with it: so it is another one that is locked.
  TRY_ASSIGN(const Fd lock, open_at(volume.get(), storage::kImageFile, O_RDONLY | O_NOFOLLOW));
  TRY(lock_exclusive(lock.get()));
  auto mounted = storage::mount_image_file(image.get());
  if (!mounted)
    return std::unexpected(Error(mounted.error()).within("the volume's ext4 image file"));
  return *std::move(mounted);
}

// Kernels before 6.15 copy no directory of a mount that is attached nowhere.
SysResult<Fd> clone_in_private_namespace(int tree, const char* path) {
  auto mounts = descriptors_from_child(1, [&](const GiveDescriptor& give) -> SysResult<void> {
    if (::unshare(CLONE_NEWNS) != 0) return sys_fail("unshare(CLONE_NEWNS)");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return sys_fail("mount(MS_PRIVATE)");
    TRY(attach_mount(tree, AT_FDCWD, "/dev"));
    TRY_ASSIGN(const Fd top, open_at(AT_FDCWD, "/dev", O_PATH | O_DIRECTORY | O_NOFOLLOW));
    TRY_ASSIGN(const Fd data, open_at2(top.get(), kData, O_PATH | O_DIRECTORY, kStraight));
    TRY_ASSIGN(const Fd place, open_at2(data.get(), path, O_PATH, kStraight));
    TRY_ASSIGN(const Fd mount, clone_tree(place.get(), "", Recursion::kThisMount));
    give(mount);
    return {};
  });
  if (!mounts) return std::unexpected(mounts.error());
  return std::move(mounts->front());
}

Error explain(const SysError& error, const Volume& volume, std::string_view subpath) {
  const std::string where = "the volume " + quoted(volume.name);
  if (subpath.empty()) return Error(error).within(where);
  if (error.error == ENOENT)
    return Error(ErrorKind::kNotFound, where + " has no " + quoted(subpath),
                 "make it first, in a container that has the whole volume");
  if (error.error == ELOOP || error.error == EXDEV || error.error == ENOTDIR)
    return Error(
        ErrorKind::kInvalid,
        where + ": " + quoted(subpath) + " leads over a symbolic link or out of the volume",
        "what a container has put into a volume is not followed");
  return Error(error).within(where);
}

}  // namespace

Result<Space> open_space(int store, const Volume& volume, Access access) {
  TRY_ASSIGN(const Meaning meaning, read_options(volume.options));
  if (meaning.kind == Kind::kBind)
    return fail(ErrorKind::kUnsupported,
                "the content of the volume " + quoted(volume.name) + " is the host's " +
                    quoted(meaning.device),
                "it is reached there");
  Space space;
  const std::string path = volume_path(volume.name);
  auto directory = open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory && directory.error().error == ENOENT)
    return fail(ErrorKind::kNotFound, "there is no volume " + quoted(volume.name));
  if (!directory) return std::unexpected(Error(directory.error()));
  space.lock = *std::move(directory);
  // A tmpfs is mounted by one of those who find it missing.
  const bool alone = access == Access::kFill || meaning.kind == Kind::kMemory;
  TRY(alone ? lock_exclusive(space.lock.get()) : lock_shared(space.lock.get()));
  // While we waited for the lock it may have been taken away.
  const auto now = open_at(store, path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!now || !is_same_file(space.lock.get(), now->get()))
    return fail(ErrorKind::kNotFound, "there is no volume " + quoted(volume.name) + " any more");
  TRY_ASSIGN(space.root, open_root(space.lock, meaning));
  TRY_ASSIGN(space.data, open_at(space.root.get(), kData, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  // Those of an image file are in its directory, too.
  bool unfinished = false;
  for (const Fd* const place : {&space.root, &space.lock}) {
    TRY_ASSIGN(const bool found, is_filling(place->get()));
    unfinished |= found;
  }
  if (unfinished) {
    TRY(lock_exclusive(space.lock.get()));
    for (const Fd* const place : {&space.root, &space.lock})
      TRY(finish_filling(place->get(), space.data.get()));
  }
  if (access == Access::kRead) TRY(lock_shared(space.lock.get()));
  return space;
}

Result<Fd> mount_of(int store, const Volume& volume, std::string_view subpath) {
  TRY_ASSIGN(const Meaning meaning, read_options(volume.options));
  TRY_ASSIGN(const Space space, open_space(store, volume, Access::kRead));
  const std::string path = subpath.empty() ? "." : std::string(subpath);
  SysResult<Fd> mount = sys_fail_with(EINVAL, "open_tree");
  if (meaning.kind == Kind::kImage) {
    mount = clone_in_private_namespace(space.root.get(), path.c_str());
  } else if (auto place = open_at2(space.data.get(), path.c_str(), O_PATH, kStraight); place) {
    mount = clone_tree(place->get(), "", Recursion::kThisMount);
  } else {
    mount = std::unexpected(place.error());
  }
  if (!mount) return std::unexpected(explain(mount.error(), volume, subpath));
  return *std::move(mount);
}

}  // namespace bulkhead::volumes
