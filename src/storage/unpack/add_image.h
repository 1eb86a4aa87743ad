// The last part of adding an image of whatever origin: its layers, its documents, its record, its names.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/ingest.h"
#include "storage/unpack/image_documents.h"

namespace bulkhead::storage {

// `layers` as find_layers() gives them: unpacked and kept where the store has not got them. When this
// returns, the image is in the store under `names`.
Result<void> add_image(Ingest& ingest, const Store& store, const ImageDocuments& documents,
                       std::span<const LayerToFill> layers, std::span<const Reference> names,
                       Confinement& confinement, const ExtractLimits& limits,
                       std::vector<std::string>& notes, TransferObserver* observer = nullptr);

// The bytes of the files in all of the layers, as far as they are known.
Result<std::uint64_t> size_of_layers(const Store& store, const std::vector<std::string>& layers);

}  // namespace bulkhead::storage
