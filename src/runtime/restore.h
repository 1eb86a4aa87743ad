// `restore`: a container from what a checkpoint left, made by CRIU.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/checkpoint.h"
#include "runtime/run.h"

namespace bulkhead::runtime {

struct RestoreOptions {
  CreateOptions create;  // id, bundle, console_socket, pid_file
  CriuWish criu;
  bool detach = false;
  bool tcp_close = false;         // connections are closed instead of restored
  std::string lsm_profile;        // "apparmor:NAME", "selinux:LABEL"
  std::string lsm_mount_context;  // SELinux's, for the mounts
};

// Detached, it returns once the container runs. Before it runs, the kernel is asked whether it is as
// isolated as the configuration says (restored_check.h). When it fails, nothing of the container is
// left; the error names the log and quotes its last errors.
Result<RunResult> restore_container(const RestoreOptions& options);

}  // namespace bulkhead::runtime
