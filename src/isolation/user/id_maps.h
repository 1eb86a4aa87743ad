// The parent's part of the user namespace: writing the maps of the child that was cloned into one.
#pragma once

#include "base/id.h"
#include "base/result.h"
#include "isolation/user/user.h"

namespace bulkhead::isolation {

// Writes /proc/PID/uid_map and gid_map of a new namespace (one write each, as the kernel wants it),
// and denies setgroups first where the kernel asks for it; or runs newuidmap and newgidmap. One
// that is joined has its maps. The child must be a child of this process that has not been reaped,
// so that its pid cannot be another's.
Result<void> write_id_maps(const UserNamespace::Plan& plan, HostPid child);

}  // namespace bulkhead::isolation
