// `run`: create, start, stand by, delete, in one process and without the detour over a start socket.
#pragma once

#include "runtime/create.h"
#include "runtime/options.h"
#include "sys/pidfd.h"

namespace bulkhead::runtime {

struct RunResult {
  ExitStatus exit;
  std::vector<std::string> warnings;
};

// With `detach` the status is 0 once the program has been executed, and the container stays.
Result<RunResult> run_container(RunOptions options);

// The end of a container whose init is dead and reaped: kills what is left in its groups, removes
// cgroups and record, runs the poststop hooks (their failures are warnings).
Result<std::vector<std::string>> discard(Container container, const oci::Spec& spec);

}  // namespace bulkhead::runtime
