// One layer: from a blob to a verified directory, by the processes of confinement.h.
#pragma once

#include <string>

#include "base/result.h"
#include "storage/unpack/blob_source.h"
#include "storage/unpack/confinement.h"
#include "storage/unpack/extract.h"

namespace bulkhead::storage {

struct LayerToUnpack {
  const Extent& blob;
  std::string digest;   // hex, of the blob
  std::string diff_id;  // hex, of the tar in it
  int directory = -1;   // empty; receives the files
};

// On success the directory is complete, opaque marks included, and both digests have been computed
// and hold. On failure its content is undefined. The calling process must be single-threaded and
// ignore SIGPIPE.
Result<ExtractReport> unpack_layer(const LayerToUnpack& layer, Confinement& confinement,
                                   const ExtractLimits& limits = {});

}  // namespace bulkhead::storage
