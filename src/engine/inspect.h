// `bulkhead inspect`: what there is to know of a container, under Docker's names, and its layers.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/containers.h"
#include "engine/options.h"

namespace bulkhead::engine {

// One JSON object, compact.
Result<std::string> inspect(const StoreOptions& options, const ListedContainer& container);

}  // namespace bulkhead::engine
