// The part of a pull that takes the time: layers that the store has not got are downloaded and
// unpacked in one stream each, and their blobs kept.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "storage/ingest.h"
#include "storage/registry/client.h"
#include "storage/registry/observer.h"
#include "storage/store.h"
#include "storage/unpack/confinement.h"
#include "storage/unpack/image_documents.h"

namespace bulkhead::storage {

// Afterwards all layers and their blobs are in the store, published and held by `ingest`. The bytes of
// the files in them.
Result<std::uint64_t> pull_layers(Ingest& ingest, const RegistryClient& client,
                                  const ImageDocuments& documents, const Store& store,
                                  Confinement& confinement, TransferObserver& observer);

}  // namespace bulkhead::storage
