// `checkpoint`: a container's processes with all their memory as files, made by CRIU.
#pragma once

#include <string>

#include "base/result.h"
#include "runtime/criu_message.h"
#include "runtime/options.h"

namespace bulkhead::runtime {

// What checkpoint and restore are both asked for.
struct CriuWish {
  std::string image_path;  // as given; empty: "checkpoint" where the caller stands
  std::string work_path;   // for the log; empty: as image_path
  CriuCgroupMode cgroup_mode = CriuCgroupMode::kSoft;
  bool tcp_established = false;
  bool external_unix_sockets = false;
  bool shell_job = false;
  bool file_locks = false;
  bool empty_network = false;  // --empty-ns network: what is in it is not taken along
};

struct CheckpointOptions {
  CommonOptions common;
  std::string id;
  CriuWish criu;
  std::string parent_path;  // an earlier pre-dump, relative to the images
  bool pre_dump = false;
  bool leave_running = false;
};

// The container ends, and is `stopped`, unless it is left running or this is only a pre-dump. When it
// fails, the container goes on as it was; the error names the log and quotes its last errors.
Result<void> checkpoint_container(const CheckpointOptions& options);

}  // namespace bulkhead::runtime
