// One layer: from a blob to a verified directory, by the processes of confinement.h.
#pragma once

#include <atomic>
#include <string>

#include "base/result.h"
#include "storage/unpack/confinement.h"
#include "storage/unpack/extract.h"
#include "storage/unpack/layer_source.h"

namespace bulkhead::storage {

struct LayerToUnpack {
  LayerSource source;
  std::string digest;   // hex, of the blob; empty: not known before, the report then says it
  std::string diff_id;  // hex, of the tar in it; likewise
  int directory = -1;   // empty; receives the files
  // How many bytes of the blob have been read, for whoever shows it; may be null.
  std::atomic<std::uint64_t>* progress = nullptr;
};

// On success the directory is complete, opaque marks included, and both digests have been computed
// and hold; so does what `source.keep` has. On failure the directory's content is undefined. A blob
// that does not have its digest is kInvalid, and so is what was kept of it; a source that ended early
// is kSystem. The calling process must be single-threaded and ignore SIGPIPE.
Result<ExtractReport> unpack_layer(const LayerToUnpack& layer, Confinement& confinement,
                                   const ExtractLimits& limits = {});

}  // namespace bulkhead::storage
