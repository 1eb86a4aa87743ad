// Locks on open files: flock(2), held until the last duplicate of the descriptor is closed, so also
// let go by a process that is killed.
#pragma once

#include "sys/error.h"

namespace bulkhead {

SysResult<void> lock_exclusive(int fd) noexcept;
SysResult<void> lock_shared(int fd) noexcept;
// EWOULDBLOCK when somebody else holds it.
SysResult<void> try_lock_exclusive(int fd) noexcept;

}  // namespace bulkhead
