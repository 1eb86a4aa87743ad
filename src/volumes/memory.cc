#include "volumes/memory.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>

#include "sys/file.h"
#include "sys/lock.h"
#include "sys/mount_api.h"
#include "volumes/volumes.h"

namespace bulkhead::volumes {
namespace {

Result<void> make_content(int root, const Memory& memory) {
  if (::mkdirat(root, kData, 0700) != 0)
    return std::unexpected(Error(SysError{"mkdir", errno, kData}));
  if (::fchownat(root, kData, memory.uid, memory.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return std::unexpected(Error(SysError{"chown", errno, kData}));
  if (::fchmodat(root, kData, memory.mode, 0) != 0)
    return std::unexpected(Error(SysError{"chmod", errno, kData}));
  return {};
}

Result<Fd> make_tmpfs(const Memory& memory) {
  TRY_ASSIGN(const Fd tmpfs, open_file_system("tmpfs"));
  TRY(set_parameter(tmpfs.get(), "mode", "0700"));
  if (memory.bytes != 0)
    TRY(set_parameter(tmpfs.get(), "size", std::to_string(memory.bytes).c_str()));
  if (memory.inodes != 0)
    TRY(set_parameter(tmpfs.get(), "nr_inodes", std::to_string(memory.inodes).c_str()));
  TRY_ASSIGN(Fd mount, create_mount(tmpfs.get(), MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, "tmpfs"));
  return mount;
}

}  // namespace

Result<bool> is_in_memory(int volume) {
  struct stat outside{};
  struct stat inside{};
  if (::fstat(volume, &outside) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
  if (::fstatat(volume, kMemory, &inside, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return false;
    return std::unexpected(Error(SysError{"stat", errno, kMemory}));
  }
  return outside.st_dev != inside.st_dev;
}

Result<Fd> open_memory(const Fd& volume, const Meaning& meaning) {
  TRY_ASSIGN(const bool mounted, is_in_memory(volume.get()));
  if (!mounted) {
    if (::mkdirat(volume.get(), kMemory, 0700) != 0 && errno != EEXIST)
      return std::unexpected(Error(SysError{"mkdir", errno, kMemory}));
    TRY_ASSIGN(const Fd tmpfs, make_tmpfs(meaning.memory));
    // Whole before anybody sees it.
    TRY(make_content(tmpfs.get(), meaning.memory));
    TRY(attach_mount(tmpfs.get(), volume.get(), kMemory));
  }
  TRY_ASSIGN(Fd root, open_at(volume.get(), kMemory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return root;
}

Result<void> unmount_memory(int volume) {
  for (;;) {
    TRY_ASSIGN(const bool mounted, is_in_memory(volume));
    if (!mounted) return {};
    const std::string path = "/proc/self/fd/" + std::to_string(volume) + "/" + kMemory;
    if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
      return std::unexpected(Error(SysError{"umount", errno, kMemory}));
  }
}

Result<void> release_memory(int store, std::string_view container,
                            const std::function<bool(const std::string& id)>& lives) {
  TRY_ASSIGN(const auto uses, used_by(store, container));
  for (const Use& use : uses) {
    const std::string path = volume_path(use.name);
    const auto volume = open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!volume) continue;
    TRY_ASSIGN(const bool mounted, is_in_memory(volume->get()));
    if (!mounted) continue;
    // Whoever begins to use it writes that down before, and then mounts it with this lock held.
    TRY(lock_exclusive(volume->get()));
    TRY_ASSIGN(Users users, list_users(store));
    std::vector<std::string>& others = users[use.name];
    std::erase(others, container);
    if (std::ranges::none_of(others, lives)) TRY(unmount_memory(volume->get()));
  }
  return {};
}

}  // namespace bulkhead::volumes
