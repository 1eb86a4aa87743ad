// `exec`: one more process in a running container, under the container's own limits and layers.
#pragma once

#include <string>
#include <vector>

#include "oci/spec.h"
#include "runtime/exec_group.h"
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

// The container's own process as `options` change it.
Result<oci::Process> changed_process(const oci::Process& own, const ExecOptions& options);

// A process that the caller, its parent, stands by: it and all that it starts are in a group of their
// own beneath the container's.
struct GroupedProcess {
  PidFd process;
  ExecGroup group;
};
// Until it has been executed; its standard streams are ours, without a terminal.
Result<GroupedProcess> start_in_own_group(const ExecOptions& options, std::string_view group);

}  // namespace bulkhead::runtime
