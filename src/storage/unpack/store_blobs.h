// Reading the store's own blobs.
#pragma once

#include <string>

#include "base/result.h"
#include "storage/store.h"
#include "storage/unpack/blob_source.h"

namespace bulkhead::storage {

// kState, with what to do, when the store has lost it.
Result<Extent> open_blob(const Store& store, const std::string& hex);

}  // namespace bulkhead::storage
