// The part of adding an image that takes the time: the layers that the store has not got are unpacked,
// and the blobs that it shall keep are copied, each read once.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/image.h"
#include "storage/ingest.h"
#include "storage/registry/observer.h"
#include "storage/unpack/blob_source.h"
#include "storage/unpack/confinement.h"
#include "storage/unpack/extract.h"
#include "storage/unpack/unpack_layers.h"

namespace bulkhead::storage {

enum class Blobs {
  kKept,     // the store gets a copy
  kNotKept,  // it stays where it is
};

struct LayerToFill {
  std::string diff_id;  // hex
  std::string digest;   // hex, of the blob
  Extent blob;
};

// Afterwards all layers (and blobs) are in the store, published and held by `ingest`. What the user
// should know of it is added to `notes`.
Result<void> fill_layers(Ingest& ingest, std::span<const LayerToFill> layers, Blobs blobs,
                         Confinement& confinement, const ExtractLimits& limits,
                         std::vector<std::string>& notes, TransferObserver* observer = nullptr);

// What of a layer had to be left out, one line each.
void note_skipped(const ExtractReport& report, std::string_view prefix,
                  std::vector<std::string>& notes);

// Only the kinds of layers that can be unpacked.
Result<void> require_layer_type(const oci::Descriptor& descriptor);

// The whole of `blob` into `output`; its SHA-256.
Result<std::string> copy_and_hash(const Extent& blob, int output);
// Without a copy.
Result<std::string> hash_extent(const Extent& blob);

}  // namespace bulkhead::storage
