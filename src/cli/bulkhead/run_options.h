// The options of `run`, as a table that writes into engine::RunOptions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/bulkhead/options.h"
#include "engine/options.h"

namespace bulkhead::cli::engine {

std::vector<Option> run_options(bulkhead::engine::RunOptions& options);
// Docker's options of `run` that this `run` does not have yet: known, so that they are refused by name.
std::span<const Unsupported> unsupported_run_options();

// Parses the words after `run`; false when --help was among them.
Result<bool> parse_run(std::span<const std::string_view> words,
                       bulkhead::engine::RunOptions& options);

// The words of such a command line without the options of these names.
std::vector<std::string> without_options(std::span<const std::string> words,
                                         std::span<const std::string_view> names);

std::string run_help(std::string_view usage);

}  // namespace bulkhead::cli::engine
