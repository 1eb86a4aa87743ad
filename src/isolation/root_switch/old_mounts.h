// Taking the host's mounts away without pivot_root: all that can be unmounted in this namespace.
#pragma once

#include "sys/error.h"

namespace bulkhead::isolation {

// Detaches every mount directly beneath the old root (and with it all beneath that), but for what
// lies on
// "/" itself. Mounts that are locked in place (an outer user namespace's) stay. Neither allocates
// nor formats.
SysResult<void> unmount_old_mounts(int proc) noexcept;

// The mount point of a line of mountinfo, with its \040 escapes undone, in `path`; false when there
// is none or it does not fit.
bool mount_point_of(const char* line, char* path, unsigned long size) noexcept;

}  // namespace bulkhead::isolation
