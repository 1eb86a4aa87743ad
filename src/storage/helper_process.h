// Programs that the store has something made by, run to their end.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::storage {

// Executes words[0], a path, with /dev/null as its input and nothing of the caller's environment, and
// waits. An error tells the exit code or signal, and the last that the program said. A line "hint: ..."
// at the end of that becomes the error's hint. Ends with the caller if that is killed.
Result<void> run_helper_process(const std::vector<std::string>& words);

// The first of the usual directories that has the program: "mkfs.ext4". kUnsupported, with the
// package that brings it as a hint.
Result<std::string> find_system_program(const std::string& name, const std::string& package);

}  // namespace bulkhead::storage
