// Loop devices: a file as a block device, for kernels and file systems that mount nothing else.
#pragma once

#include "sys/error.h"
#include "sys/fd.h"

namespace bulkhead {

enum class LoopAccess { kReadOnly, kReadWrite };
enum class LoopCache {
  kShared,  // reads go through the file's page cache, too
  kDirect,  // they do not; EOPNOTSUPP where the file's file system has no direct I/O
};

// The device dissolves when its last user is gone: whoever holds `device` open, or has mounted it.
// That is the kernel's doing (LO_FLAGS_AUTOCLEAR), so that nothing stays behind a killed process.
struct LoopDevice {
  Fd device;
  char path[24] = {};  // "/dev/loop7"
};

// LOOP_CONFIGURE (Linux 5.8) on a free device: file, flags and autoclear in one step. `file` may be
// closed afterwards; read-write needs it open for reading and writing.
SysResult<LoopDevice> attach_loop_device(int file, LoopAccess access, LoopCache cache) noexcept;

// The device that `file` is attached to already, held open: it does not dissolve meanwhile. ENODEV when
// there is none. A file system that is mounted from one device twice is one; from two, it is destroyed.
SysResult<LoopDevice> find_loop_device(int file) noexcept;

}  // namespace bulkhead
