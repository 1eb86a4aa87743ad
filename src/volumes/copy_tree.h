// Copying what lies beneath one directory into another, by descriptor alone.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace bulkhead::volumes {

struct CopyReport {
  std::uint64_t entries = 0;
  std::uint64_t left_out = 0;  // device nodes and sockets
};

// Everything in `source` into `target`, which is empty and which nobody else writes to: files, directories,
// symbolic links (copied as they are, never followed), FIFOs and hard links among them, with their
// owners, modes, times and attributes (user.* and ACLs); then owner, mode and time of `source` itself.
// Nothing outside of `source`'s own mount is entered. What is nested too deeply is kUnsupported.
Result<CopyReport> copy_tree(int source, int target);

// The owner, mode and times of one directory for another.
Result<void> copy_metadata(int source, int target);

}  // namespace bulkhead::volumes
