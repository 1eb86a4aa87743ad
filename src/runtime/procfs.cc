#include "runtime/procfs.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include "sys/file.h"

namespace bulkhead::runtime {

Result<Fd> open_procfs() {
  TRY_ASSIGN(Fd proc, open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW));
  struct statfs system{};
  struct stat status{};
  constexpr ino_t kProcRootInode = 1;
  if (::fstatfs(proc.get(), &system) != 0 || ::fstat(proc.get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstatfs", errno, "/proc"}));
  if (system.f_type != PROC_SUPER_MAGIC || status.st_ino != kProcRootInode)
    return fail(ErrorKind::kSystem, "/proc is not a procfs", "mount one: mount -t proc proc /proc");
  return proc;
}

}  // namespace bulkhead::runtime
