#include "sys/loop_device.h"

#include <dirent.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <memory>

#include "sys/file.h"

namespace bulkhead {
namespace {

// Others take free devices at the same time; each loss means that somebody else has gone on.
constexpr int kMostAttempts = 1000;

SysResult<void> require_direct(const LoopDevice& loop) noexcept {
  struct loop_info64 info{};
  if (::ioctl(loop.device.get(), LOOP_GET_STATUS64, &info) != 0)
    return sys_fail("ioctl(LOOP_GET_STATUS64)");
  // The kernel takes the flag back in silence where the file's file system cannot.
  if ((info.lo_flags & LO_FLAGS_DIRECT_IO) == 0)
    return sys_fail_with(EOPNOTSUPP, "ioctl(LOOP_CONFIGURE)", "direct I/O");
  return {};
}

}  // namespace

SysResult<LoopDevice> attach_loop_device(int file, LoopAccess access, LoopCache cache) noexcept {
  TRY_ASSIGN(const Fd control, open_at(AT_FDCWD, "/dev/loop-control", O_RDWR));
  struct loop_config config{};
  config.fd = static_cast<__u32>(file);
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  if (access == LoopAccess::kReadOnly) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
  if (cache == LoopCache::kDirect) config.info.lo_flags |= LO_FLAGS_DIRECT_IO;
  for (int attempt = 0;; ++attempt) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return sys_fail("ioctl(LOOP_CTL_GET_FREE)");
    LoopDevice loop;
    (void)std::snprintf(loop.path, sizeof loop.path, "/dev/loop%d", number);
    const int flags = access == LoopAccess::kReadOnly ? O_RDONLY : O_RDWR;
    auto device = open_at(AT_FDCWD, loop.path, flags);
    if (device) {
      if (::ioctl(device->get(), LOOP_CONFIGURE, &config) == 0) {
        loop.device = *std::move(device);
        if (cache == LoopCache::kDirect) TRY(require_direct(loop));
        return loop;
      }
      if (errno != EBUSY) return sys_fail("ioctl(LOOP_CONFIGURE)");
    } else if (device.error().error != ENXIO && device.error().error != ENODEV) {
      // Its text would point into `loop`.
      return sys_fail_with(device.error().error, "open", "/dev/loop*");
    }
    if (attempt == kMostAttempts) return sys_fail_with(EBUSY, "ioctl(LOOP_CONFIGURE)");
  }
}

SysResult<LoopDevice> find_loop_device(int file) noexcept {
  struct stat wanted{};
  if (::fstat(file, &wanted) != 0) return sys_fail("fstat");
  const std::unique_ptr<DIR, int (*)(DIR*)> devices(::opendir("/sys/block"), ::closedir);
  if (!devices) return sys_fail("open", "/sys/block");
  while (const struct dirent* const entry = ::readdir(devices.get())) {
    unsigned number = 0;
    char after = 0;
    if (std::sscanf(entry->d_name, "loop%u%c", &number, &after) != 1) continue;
    LoopDevice loop;
    (void)std::snprintf(loop.path, sizeof loop.path, "/dev/loop%u", number);
    auto device = open_at(AT_FDCWD, loop.path, O_RDWR);
    struct loop_info64 info{};
    if (!device || ::ioctl(device->get(), LOOP_GET_STATUS64, &info) != 0) continue;
    if (info.lo_inode != wanted.st_ino || info.lo_device != wanted.st_dev) continue;
    loop.device = *std::move(device);
    return loop;
  }
  return sys_fail_with(ENODEV, "finding the loop device");
}

}  // namespace bulkhead
