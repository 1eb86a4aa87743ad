#include "storage/project_quota.h"

#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

namespace bulkhead::storage {
namespace {

constexpr int kMostWaits = 150;
constexpr unsigned kWaitMicroseconds = 20'000;
constexpr unsigned kBlock = 512;  // of every size in these interfaces

// The XFS form of the calls, which the kernel translates for the other file systems.
long quota_call(int directory, unsigned command, std::uint32_t id, void* argument) noexcept {
  const unsigned with_type = (command << 8) | (XQM_PRJQUOTA & 0xFFU);  // QCMD of sys/quota.h
  return ::syscall(SYS_quotactl_fd, directory, with_type, id, argument);
}

SysResult<void> set_limit(int directory, std::uint32_t project, std::uint64_t blocks,
                          std::uint64_t files) noexcept {
  struct fs_disk_quota quota{};
  quota.d_version = FS_DQUOT_VERSION;
  quota.d_flags = FS_PROJ_QUOTA;
  quota.d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT | FS_DQ_IHARD | FS_DQ_ISOFT;
  quota.d_id = project;
  quota.d_blk_hardlimit = quota.d_blk_softlimit = blocks;
  quota.d_ino_hardlimit = quota.d_ino_softlimit = files;
  if (quota_call(directory, Q_XSETQLIM, project, &quota) != 0)
    return sys_fail("quotactl_fd(Q_XSETQLIM)");
  return {};
}

}  // namespace

bool enforces_project_quota(int directory) noexcept {
  struct fs_quota_statv status{};
  status.qs_version = FS_QSTATV_VERSION1;
  constexpr unsigned kBoth = FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD;
  return quota_call(directory, Q_XGETQSTATV, 0, &status) == 0 && (status.qs_flags & kBoth) == kBoth;
}

SysResult<void> set_project_limit(int directory, const ProjectLimit& limit) noexcept {
  for (int attempt = 0;; ++attempt) {
    struct fs_disk_quota used{};
    if (quota_call(directory, Q_XGETQUOTA, limit.project, &used) != 0) {
      if (errno == ENOENT) break;
      return sys_fail("quotactl_fd(Q_XGETQUOTA)");
    }
    if (used.d_icount == 0) break;
    // xfs frees what was removed in the background: it may be the last container's of that number.
    if (attempt == kMostWaits) return sys_fail_with(EBUSY, "the project has files already");
    ::usleep(kWaitMicroseconds);
  }
  return set_limit(directory, limit.project, limit.bytes / kBlock, limit.files());
}

SysResult<void> clear_project_limit(int directory, std::uint32_t project) noexcept {
  const auto cleared = set_limit(directory, project, 0, 0);
  if (!cleared && (cleared.error().error == ENOENT || cleared.error().error == ESRCH)) return {};
  return cleared;
}

SysResult<void> assign_project(int directory, std::uint32_t project) noexcept {
  struct fsxattr attributes{};
  if (::ioctl(directory, FS_IOC_FSGETXATTR, &attributes) != 0)
    return sys_fail("ioctl(FS_IOC_FSGETXATTR)");
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (::ioctl(directory, FS_IOC_FSSETXATTR, &attributes) != 0)
    return sys_fail("ioctl(FS_IOC_FSSETXATTR)");
  return {};
}

}  // namespace bulkhead::storage
