// Docker's words that Bulkhead does not take: each is an error that says why, and what to do instead. What
// Docker knows and neither takes nor names here is a gap that tests/engines/compare_suite.py finds.
#pragma once

#include <span>
#include <string_view>

#include "cli/bulkhead/options.h"

namespace bulkhead::cli::engine {

// By the name of the command: "start", "image inspect". Those of run stand beside its own options.
std::span<const Unsupported> docker_options(std::string_view command);

// Whole commands: "build".
std::span<const Unsupported> docker_commands();

// For tests: the names that docker_options() knows.
std::span<const std::string_view> commands_with_docker_options();

}  // namespace bulkhead::cli::engine
