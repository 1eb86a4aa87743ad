// What CRIU's log says about a failure. Pure.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::runtime {

// The last lines that tell of errors (else the very last line) on one line, without CRIU's time stamps
// and quoted for a terminal; empty for an empty log.
std::string last_errors(std::string_view log);

}  // namespace bulkhead::runtime
