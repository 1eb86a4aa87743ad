// Signals by name or number, as people write them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::runtime {

// "KILL", "SIGKILL", "sigkill", "9", "RTMIN+3"; kUsage for anything else.
Result<int> parse_signal(std::string_view text);

// "SIGINT" for "2" and whatever else parse_signal() takes for a signal with a name; else the text itself.
std::string signal_name(std::string_view text);

}  // namespace bulkhead::runtime
