// Taking images into the store from what `docker save` and its relatives write.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "storage/registry/observer.h"
#include "storage/unpack/confinement.h"
#include "storage/unpack/extract.h"

namespace bulkhead::storage {

struct LoadSource {
  int input = -1;    // read when `path` is empty
  std::string path;  // an archive, or an OCI layout directory
};

struct Loaded {
  std::vector<std::string> lines;  // "Loaded image: busybox:latest", "Loaded image ID: sha256:…"
  std::vector<std::string> notes;  // what the user should know
};

// A Docker archive, an OCI archive or an OCI layout, the first two also compressed by gzip or zstd. All
// images in it. What is not whole and true to its digests is not taken in; images before it in the
// archive are.
Result<Loaded> load_images(const std::string& store, LoadSource source, Confinement& confinement,
                           const ExtractLimits& limits = {}, TransferObserver* observer = nullptr);

}  // namespace bulkhead::storage
