// Signals by name or number, as people write them.
#pragma once

#include <string_view>

#include "base/result.h"

namespace bulkhead::runtime {

// "KILL", "SIGKILL", "sigkill", "9", "RTMIN+3"; kUsage for anything else.
Result<int> parse_signal(std::string_view text);

}  // namespace bulkhead::runtime
