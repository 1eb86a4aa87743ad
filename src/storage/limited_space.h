// Where a container whose size is limited may write.
#pragma once

#include "storage/project_quota.h"
#include "storage/snapshot.h"

namespace bulkhead::storage {

// The container's image file beneath its directory.
inline constexpr const char* kImageFile = "upper.ext4";

// A detached mount with nothing in it, of the limit's size: an ext4 image file in the container's
// directory, or a tmpfs. Empty where the limit is a quota of the store's own file system.
Result<Fd> make_limited_space(const Snapshot& snapshot);

// Mounts an image file that was made before, detached. Whoever mounts one that others may be mounting,
// too, holds a lock meanwhile that they hold as well.
SysResult<Fd> mount_image_file(int image) noexcept;

// Gives upper/ and work/ beneath `parent`, both empty, to the project, and the project its limit.
Result<void> limit_by_quota(int parent, const ProjectLimit& limit);

}  // namespace bulkhead::storage
