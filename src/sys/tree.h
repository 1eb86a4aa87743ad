// Making directories with those above them; removing a tree that somebody hostile has filled.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "sys/error.h"

namespace bulkhead {

// Removes `name` in `directory` with everything beneath it, by descriptor alone: no symbolic link is
// followed, and no depth of nesting exhausts descriptors, stack or path length. Fine when there is no
// such name. A mount point in the tree is EBUSY. `name` must outlive the error.
SysResult<void> remove_tree_at(int directory, const char* name) noexcept;

// The bytes that the files beneath `name` take on the disk, as far as they can be seen while somebody may
// be changing them; a file of several names counts once for each. 0 when there is no such name.
Result<std::uint64_t> tree_bytes_at(int directory, const char* name);

// mkdir -p; only what is missing is made, for the owner alone.
Result<void> make_directories(const std::string& path);

}  // namespace bulkhead
