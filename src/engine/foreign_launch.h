// A container that another OCI runtime makes: the bundle, the root file system and the mounts that only
// we can make, its first process, and what is written down of it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/launching.h"
#include "engine/options.h"
#include "engine/wish.h"
#include "sys/fd.h"
#include "sys/pidfd.h"

namespace bulkhead::engine {

// What cannot be had with another runtime is refused: no layer is lost without a word.
Result<void> check_foreign(const RunOptions& options, const Wish& wish, bool has_health_check);

struct ForeignContainer {
  PidFd init;
  Fd terminal;
  std::string created;
  std::vector<std::string> warnings;
};

// In a process of its own, which from here on sees other mounts than everybody else. Standard streams are
// the container's. On failure nothing is left.
Result<ForeignContainer> launch_foreign(const ToLaunch& container);

}  // namespace bulkhead::engine
