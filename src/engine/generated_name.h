// Names for containers that nobody has named: "steady_faraday".
#pragma once

#include <string>

#include "base/result.h"

namespace bulkhead::engine {

// From the kernel's random source. With a number at its end from the eighth attempt on.
Result<std::string> generated_name(int attempt);

}  // namespace bulkhead::engine
