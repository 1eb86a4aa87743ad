// --log-driver and --log-opt: where a container's output goes, and what is added to each entry.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/metadata.h"
#include "engine/options.h"
#include "supervise/log.h"

namespace bulkhead::engine {

// What an entry can say of its container.
struct LoggedContainer {
  std::string id;
  std::string name;
  std::string image;
  std::string image_id;
  Labels labels;
  std::vector<std::string> env;  // NAME=VALUE
};

// Errors name the flag.
Result<supervise::LogSettings> read_log_choice(const RunOptions& options);
// The same with what is added to each entry; the options have been read.
Result<supervise::LogSettings> compose_log(const RunOptions& options,
                                           const LoggedContainer& container);
// As they were given, for `inspect`: max-size and so on.
std::vector<std::pair<std::string, std::string>> log_options_of(
    const supervise::LogSettings& settings, const std::vector<std::string>& given);

// Where the driver has something to write to. The error says what to do.
Result<void> check_log(const supervise::LogSettings& settings);

}  // namespace bulkhead::engine
