// `exec`: one more process in a running container, under the container's own limits and layers.
#pragma once

#include <string>
#include <vector>

#include "runtime/options.h"
#include "sys/pidfd.h"

namespace bulkhead::runtime {

struct ExecResult {
  ExitStatus exit;
  std::vector<std::string> warnings;  // as Container::warnings
};

// Runs the process; attached, until it ends (its exit status), or with `detach` until it has been
// executed (0). The errors carry kCommandNotFound or kCommandNotExecutable for the program's sake.
Result<ExecResult> exec_in_container(const ExecOptions& options);

}  // namespace bulkhead::runtime
