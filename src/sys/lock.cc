#include "sys/lock.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bulkhead {
namespace {

// The name of flock's header is taken by our own file.h.
SysResult<void> lock(int fd, int operation) noexcept {
  while (::syscall(SYS_flock, fd, operation) != 0)
    if (errno != EINTR) return sys_fail("flock");
  return {};
}

}  // namespace

SysResult<void> lock_exclusive(int fd) noexcept { return lock(fd, LOCK_EX); }
SysResult<void> lock_shared(int fd) noexcept { return lock(fd, LOCK_SH); }
SysResult<void> try_lock_exclusive(int fd) noexcept { return lock(fd, LOCK_EX | LOCK_NB); }

}  // namespace bulkhead
