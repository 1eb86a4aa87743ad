// --pid-file.
#pragma once

#include <string>

#include "base/id.h"
#include "base/result.h"

namespace bulkhead::runtime {

// Writes the number to `path` by a rename: those who wait for the file never see half of it. Nothing
// is done for an empty path.
Result<void> write_pid_file(const std::string& path, HostPid pid);

}  // namespace bulkhead::runtime
