// What `inspect` of an image prints.
#pragma once

#include <string>

#include "base/result.h"
#include "storage/store.h"

namespace bulkhead::cli::engine {

// One JSON object, compact. kNotFound when there is no such image here.
Result<std::string> inspect_image(const storage::Store& store, const std::string& name);

}  // namespace bulkhead::cli::engine
