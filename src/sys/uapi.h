// Kernel interfaces that are newer than the headers this is built with (Debian 12: Linux 6.1).
#pragma once

#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <cstdint>

#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
// open_tree_attr(2), Linux 6.15: open_tree and mount_setattr in one call.
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif
// File system magics (linux/magic.h clashes with nothing, but lacks some of these in old headers).
#ifndef PROC_SUPER_MAGIC
#define PROC_SUPER_MAGIC 0x9fa0
#endif
#ifndef SYSFS_MAGIC
#define SYSFS_MAGIC 0x62656572
#endif
#ifndef TMPFS_MAGIC
#define TMPFS_MAGIC 0x01021994
#endif
#ifndef DEVPTS_SUPER_MAGIC
#define DEVPTS_SUPER_MAGIC 0x1cd1
#endif
#ifndef CGROUP_SUPER_MAGIC
#define CGROUP_SUPER_MAGIC 0x27e0eb
#endif
#ifndef CGROUP2_SUPER_MAGIC
#define CGROUP2_SUPER_MAGIC 0x63677270
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
