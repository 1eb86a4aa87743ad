// `bulkhead exec`: one more process in a container that runs, in process through the runtime: under the
// container's own limits, profile and label, and never with more than its first process.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/containers.h"
#include "engine/options.h"
#include "engine/run.h"

namespace bulkhead::engine {

struct ExecChoices {
  std::vector<std::string> command;
  std::vector<std::string> env;  // NAME=VALUE, or NAME for ours
  std::vector<std::string> env_files;
  std::optional<std::string> user;
  std::optional<std::string> workdir;
  bool detach = false;
  bool interactive = false;
  bool terminal = false;
};

// The exit code of the command; 0 with `detach`, once it runs.
Result<int> exec(const StoreOptions& options, const ListedContainer& container,
                 const ExecChoices& choices, const Warn& warn);

}  // namespace bulkhead::engine
