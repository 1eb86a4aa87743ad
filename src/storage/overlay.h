// Assembling the overlay mount, in the two ways that kernels have. Between themselves they share the
// options; snapshot.cc chooses.
#pragma once

#include "storage/snapshot.h"
#include "sys/error.h"

namespace bulkhead::storage {

// EINVAL, EBADF or EOPNOTSUPP where the kernel (before 6.15) does not take detached mounts as layers.
SysResult<MountedSnapshot> mount_detached_layers(const Snapshot& snapshot,
                                                 int user_namespace) noexcept;

// In a forked process with a mount namespace of its own. Works since idmapped layers do.
SysResult<Fd> mount_in_private_namespace(const Snapshot& snapshot, int user_namespace);

// Where upper/ and work/ are: a descriptor of their directory.
SysResult<Fd> open_upper_parent(const Snapshot& snapshot) noexcept;

struct OverlayOption {
  const char* key;
  const char* value;
};
// What no start may leave to the kernel's configuration: files whose content lies elsewhere in the
// layers (metacopy), directories that stand for others (redirect_dir) and hard links tracked by an
// index would all trust extended attributes that came with an image.
inline constexpr OverlayOption kOverlayOptions[] = {
    {"metacopy", "off"},
    {"redirect_dir", "off"},
    {"index", "off"},
};

}  // namespace bulkhead::storage
