// tmpcopyup: what the image holds beneath a mount point, copied into the tmpfs that will cover it.
// The tree is hostile: every step is by descriptor and follows no link; a file system of its own
// beneath it is not entered.
#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "isolation/mounts/mount_one.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

constexpr int kMaximumDepth = 64;  // each level costs a buffer on the stack

// What getdents64(2) writes.
struct Entry {
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

SysResult<void> copy_directory(int from, int to, dev_t device, int depth) noexcept;

SysResult<void> copy_times_and_owner(int directory, const char* name,
                                     const struct stat& status) noexcept {
  if (::fchownat(directory, name, status.st_uid, status.st_gid,
                 AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0)
    return sys_fail("tmpcopyup: fchownat");
  const struct timespec times[2] = {status.st_atim, status.st_mtim};
  if (*name != '\0' && ::utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) != 0)
    return sys_fail("tmpcopyup: utimensat");
  if (*name == '\0' && ::futimens(directory, times) != 0) return sys_fail("tmpcopyup: futimens");
  return {};
}

SysResult<void> copy_contents(int from, int to, const struct stat& status) noexcept {
  off_t left = status.st_size;
  while (left > 0) {
    const ssize_t copied = ::sendfile(to, from, nullptr, static_cast<std::size_t>(left));
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0) return sys_fail("tmpcopyup: sendfile");
    if (copied == 0) break;
    left -= copied;
  }
  return {};
}

// Capabilities of files would be lost otherwise; what tmpfs cannot hold is left out.
SysResult<void> copy_file_capabilities(int from, int to) noexcept {
  char value[64];
  const ssize_t size = ::fgetxattr(from, "security.capability", value, sizeof value);
  if (size < 0) return {};
  if (::fsetxattr(to, "security.capability", value, static_cast<std::size_t>(size), 0) != 0)
    return sys_fail("tmpcopyup: fsetxattr");
  return {};
}

SysResult<void> copy_regular_file(int from_directory, int to_directory, const char* name,
                                  const struct stat& seen) noexcept {
  const auto from = open_at(from_directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!from) return std::unexpected(from.error());
  struct stat status{};
  if (::fstat(from->get(), &status) != 0) return sys_fail("tmpcopyup: fstat");
  if (status.st_ino != seen.st_ino || status.st_dev != seen.st_dev || !S_ISREG(status.st_mode))
    return sys_fail_with(EXDEV, "tmpcopyup: a file was swapped while it was copied");
  const auto to = open_at(to_directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!to) return std::unexpected(to.error());
  TRY(copy_contents(from->get(), to->get(), status));
  if (::fchown(to->get(), status.st_uid, status.st_gid) != 0) return sys_fail("tmpcopyup: fchown");
  // After the owner, whose change takes the setuid bit and the capabilities away.
  if (::fchmod(to->get(), status.st_mode & 07777) != 0) return sys_fail("tmpcopyup: fchmod");
  TRY(copy_file_capabilities(from->get(), to->get()));
  const struct timespec times[2] = {status.st_atim, status.st_mtim};
  if (::futimens(to->get(), times) != 0) return sys_fail("tmpcopyup: futimens");
  return {};
}

SysResult<void> copy_link(int from, int to, const char* name, const struct stat& status) noexcept {
  char target[PATH_MAX];
  const ssize_t length = ::readlinkat(from, name, target, sizeof target - 1);
  if (length < 0) return sys_fail("tmpcopyup: readlinkat");
  target[length] = '\0';
  if (::symlinkat(target, to, name) != 0) return sys_fail("tmpcopyup: symlinkat");
  return copy_times_and_owner(to, name, status);
}

SysResult<void> copy_entry(int from, int to, const char* name, dev_t device, int depth) noexcept {
  struct stat status{};
  if (::fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
    return sys_fail("tmpcopyup: fstatat");
  if (S_ISREG(status.st_mode)) {
    // A file that is a mount point belongs to the mount, not to the image.
    if (status.st_dev != device) return {};
    return copy_regular_file(from, to, name, status);
  }
  if (S_ISLNK(status.st_mode)) return copy_link(from, to, name, status);
  if (!S_ISDIR(status.st_mode)) {
    if (::mknodat(to, name, status.st_mode, status.st_rdev) != 0)
      return sys_fail("tmpcopyup: mknodat");
    return copy_times_and_owner(to, name, status);
  }
  if (status.st_dev != device) return {};
  if (depth == kMaximumDepth) return sys_fail_with(ENAMETOOLONG, "tmpcopyup");
  if (::mkdirat(to, name, 0700) != 0) return sys_fail("tmpcopyup: mkdirat");
  const auto inner_from = open_at(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!inner_from) return std::unexpected(inner_from.error());
  const auto inner_to = open_at(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!inner_to) return std::unexpected(inner_to.error());
  return copy_directory(inner_from->get(), inner_to->get(), device, depth + 1);
}

bool is_dot_or_dot_dot(const char* name) noexcept {
  return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
}

// Both open for reading. The directory's own owner, mode and times come last.
SysResult<void> copy_directory(int from, int to, dev_t device, int depth) noexcept {
  alignas(Entry) char buffer[4096];
  for (;;) {
    const long size = ::syscall(SYS_getdents64, from, buffer, sizeof buffer);
    if (size < 0) return sys_fail("tmpcopyup: getdents64");
    if (size == 0) break;
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const Entry*>(buffer + at);
      at += entry->length;
      if (is_dot_or_dot_dot(entry->name)) continue;
      TRY(copy_entry(from, to, entry->name, device, depth));
    }
  }
  struct stat status{};
  if (::fstat(from, &status) != 0) return sys_fail("tmpcopyup: fstat");
  if (depth > 0 && ::fchmod(to, status.st_mode & 07777) != 0) return sys_fail("tmpcopyup: fchmod");
  if (depth > 0) return copy_times_and_owner(to, "", status);
  return {};
}

}  // namespace

SysResult<void> copy_tree(int from, int to) noexcept {
  const auto source = open_at(from, ".", O_RDONLY | O_DIRECTORY);
  if (!source) return std::unexpected(source.error());
  const auto target = open_at(to, ".", O_RDONLY | O_DIRECTORY);
  if (!target) return std::unexpected(target.error());
  struct stat status{};
  if (::fstat(source->get(), &status) != 0) return sys_fail("tmpcopyup: fstat");
  return copy_directory(source->get(), target->get(), status.st_dev, 0);
}

}  // namespace bulkhead::isolation
