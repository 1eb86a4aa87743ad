// The flags of a restored container's mounts. CRIU 3.17 brings back the root without them, and so all
// but the first of several external mounts of one file system.
#pragma once

#include "base/result.h"
#include "oci/spec.h"
#include "sys/pidfd.h"

namespace bulkhead::runtime {

// Sets what the configuration asks for: on the root, the mounts, the masks and the read-only paths, in
// the mount namespace of a process that stands still. A mount where it cannot is for
// check_restored_mounts() to name.
Result<void> set_mount_flags_again(const PidFd& process, const oci::Spec& spec);

}  // namespace bulkhead::runtime
