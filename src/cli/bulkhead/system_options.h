// `bulkhead system integrate`: its options, for the command and for the completion.
#pragma once

#include <string>
#include <vector>

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

}  // namespace bulkhead::cli::engine
