#include "isolation/descriptors/self_protection.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "sys/fd.h"
#include "sys/file.h"
#include "sys/mount_api.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // Linux 6.3
#endif

namespace bulkhead::isolation {
namespace {

constexpr const char* kOwnFile = "/proc/self/exe";
constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

bool is_sealed(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & kSeals) == kSeals;
}

bool is_read_only(const struct statfs& status) {
  return (static_cast<unsigned long>(status.f_flags) & ST_RDONLY) != 0;
}

// A detached, read-only copy of the mount that holds our binary, with the binary as its root.
SysResult<Fd> clone_read_only() noexcept {
  MountAttributes attributes;
  attributes.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  TRY_ASSIGN(Fd clone, clone_tree_with(AT_FDCWD, kOwnFile, Recursion::kThisMount, attributes));
  // The second start decides by this very flag: without it we would go round in circles.
  struct statfs status{};
  if (::fstatfs(clone.get(), &status) != 0) return sys_fail("fstatfs", kOwnFile);
  if (!is_read_only(status)) return sys_fail_with(EROFS, "mount_setattr", kOwnFile);
  return clone;
}

SysResult<Fd> memory_file() noexcept {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  long fd = ::syscall(SYS_memfd_create, "bulkhead-runtime", kFlags | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = ::syscall(SYS_memfd_create, "bulkhead-runtime", kFlags);
  if (fd < 0) return sys_fail("memfd_create");
  return Fd(static_cast<int>(fd));
}

// Where mounts may not be cloned: a copy in memory that nobody can change.
SysResult<Fd> copy_sealed() noexcept {
  TRY_ASSIGN(const Fd source, open_at(AT_FDCWD, kOwnFile, O_RDONLY));
  struct stat status{};
  if (::fstat(source.get(), &status) != 0) return sys_fail("fstat", kOwnFile);
  TRY_ASSIGN(Fd copy, memory_file());
  for (off_t left = status.st_size; left > 0;) {
    const ssize_t moved =
        ::sendfile(copy.get(), source.get(), nullptr, static_cast<std::size_t>(left));
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return sys_fail("sendfile", kOwnFile);
    if (moved == 0) return sys_fail_with(EIO, "sendfile", kOwnFile);
    left -= moved;
  }
  if (::fcntl(copy.get(), F_ADD_SEALS, kSeals) != 0) return sys_fail("fcntl(F_ADD_SEALS)");
  if (!is_sealed(copy.get())) return sys_fail_with(EPERM, "fcntl(F_ADD_SEALS)");
  return copy;
}

SysError execute(int file, char* const* arguments, char* const* environment) noexcept {
  ::syscall(SYS_execveat, file, "", arguments, environment, AT_EMPTY_PATH);
  return {"execveat", errno, kOwnFile};
}

}  // namespace

Result<OwnBinary> own_binary() {
  struct statfs file_system{};
  if (::statfs(kOwnFile, &file_system) != 0)
    return std::unexpected(Error(SysError{"statfs", errno, kOwnFile}));
  if (is_read_only(file_system)) return OwnBinary::kReadOnly;
  if (file_system.f_type == TMPFS_MAGIC) {
    const auto file = open_at(AT_FDCWD, kOwnFile, O_RDONLY);
    if (file && is_sealed(file->get())) return OwnBinary::kReadOnly;
  }
  // Only the owner, root, and whom the mode lets write can change it. Inside a user namespace root
  // is no different from others for a file whose owner is not mapped.
  struct stat status{};
  if (::stat(kOwnFile, &status) != 0)
    return std::unexpected(Error(SysError{"stat", errno, kOwnFile}));
  const bool owner = status.st_uid == ::geteuid();
  if (!owner && ::faccessat(AT_FDCWD, kOwnFile, W_OK, AT_EACCESS) != 0 &&
      (errno == EACCES || errno == EPERM))
    return OwnBinary::kNotOurs;
  return OwnBinary::kWritable;
}

Result<void> protect_own_binary(char* const* arguments, char* const* environment) {
  TRY_ASSIGN(const OwnBinary state, own_binary());
  if (state == OwnBinary::kReadOnly && arguments[0] != nullptr) {
    // Older kernels (before 6.14) name a process that was executed by descriptor after its number.
    const char* slash = ::strrchr(arguments[0], '/');
    (void)::prctl(PR_SET_NAME, slash != nullptr ? slash + 1 : arguments[0], 0, 0, 0);
  }
  if (state != OwnBinary::kWritable) return {};
  SysError last;
  if (const auto clone = clone_read_only()) {
    last = execute(clone->get(), arguments, environment);
  } else {
    last = clone.error();
  }
  if (const auto copy = copy_sealed()) {
    last = execute(copy->get(), arguments, environment);
  } else {
    last = copy.error();
  }
  return std::unexpected(
      Error(last)
          .within("protecting the runtime's own binary against being overwritten from a container")
          .with_hint("install it on a read-only file system, or allow memory files to be executed "
                     "(sysctl vm.memfd_noexec=0)"));
}

}  // namespace bulkhead::isolation
