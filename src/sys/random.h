// Names that nobody else has or can guess.
#pragma once

#include <string>

#include "base/result.h"

namespace bulkhead {

// 32 hexadecimal digits from the kernel's random source.
Result<std::string> random_name();

}  // namespace bulkhead
