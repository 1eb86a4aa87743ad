// `bulkhead system`: options of its commands, for the command and for the completion.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/bulkhead/command.h"
#include "cli/bulkhead/options.h"

namespace bulkhead::cli::engine {

struct IntegrateOptions {
  bool write = false;
  bool remove = false;
  bool make_default = false;
  std::string file;
  std::string runtime;
};

std::vector<Option> integrate_options(IntegrateOptions& options);

struct DfOptions {
  bool verbose = false;
  std::string format;
};
std::vector<Option> df_options(DfOptions& options);

struct PruneEverythingOptions {
  bool all = false;
  bool force = false;
  bool volumes = false;
};
std::vector<Option> prune_everything_options(PruneEverythingOptions& options);

struct CheckOptions {
  bool repair = false;
  bool contents = false;
};
std::vector<Option> check_options(CheckOptions& options);

struct StopOptions {
  std::optional<std::string> time;
};
std::vector<Option> stop_options(StopOptions& options);

Result<int> system_start(const Invocation& invocation);
Result<int> system_stop(const Invocation& invocation);
Result<int> system_adopt(const Invocation& invocation);
Result<int> system_info(const Invocation& invocation);
Result<int> system_df(const Invocation& invocation);
Result<int> system_prune(const Invocation& invocation);
Result<int> system_check(const Invocation& invocation);

}  // namespace bulkhead::cli::engine
