// What there is to know of this installation and its host: `bulkhead info`.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/options.h"

namespace bulkhead::engine {

// One JSON object, under Docker's names.
Result<std::string> information(const StoreOptions& options);
// {"Client": {...}, "Server": {...}}: both are this program, for there is no daemon.
std::string version_information();

}  // namespace bulkhead::engine
