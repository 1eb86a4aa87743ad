// Executes bulkhead-registry, the program that alone speaks to the network.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::storage {

inline constexpr const char* kRegistryProgram = "bulkhead-registry";

// Becomes it: returns only when it cannot be executed.
Result<void> become_registry_program(std::vector<std::string> words);

enum class PullWhen {
  kMissing,  // not when the store has it under one of the names that it may mean
  kAlways,
};

// Pulls the image while its progress is shown on the standard error. The canonical name that it has in
// the store then. `journal`: the directory of the journal in which it is recorded.
Result<std::string> pull_for_run(const std::string& store, const std::string& journal,
                                 const std::string& name, PullWhen when);

}  // namespace bulkhead::storage
