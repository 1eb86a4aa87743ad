// Making the layers of an image of the store again from its blobs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "storage/unpack/confinement.h"
#include "storage/unpack/extract.h"

namespace bulkhead::storage {

// Those that are missing, of the image with this manifest (hex). What the user should know is returned.
Result<std::vector<std::string>> restore_layers(const std::string& store,
                                                const std::string& manifest,
                                                Confinement& confinement,
                                                const ExtractLimits& limits = {});

}  // namespace bulkhead::storage
