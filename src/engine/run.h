// `bulkhead run`: a container in the foreground, from the image to its end.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "engine/options.h"
#include "engine/result.h"

namespace bulkhead::engine {

// Warnings, one line each, as soon as they are known.
using Warn = std::function<void(const std::string&)>;

// Standing by until the container's program has ended. An error means that it never ran, and that
// nothing of it is left.
Result<RunResult> run(const RunOptions& options, const Warn& warn);

}  // namespace bulkhead::engine
