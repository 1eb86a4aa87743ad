// Writing images of the store as archives that other tools read.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "storage/reference.h"
#include "storage/unpack/confinement.h"

namespace bulkhead::storage {

enum class ArchiveFormat {
  kDocker,     // as `docker save` writes it; an OCI archive at the same time, where that can be
  kOci,        // a tar of an OCI layout
  kDirectory,  // an OCI layout
};

struct ImageToSave {
  std::string manifest;  // hex
  std::vector<Reference> names;
};

struct SaveTarget {
  int output = -1;   // of an archive
  std::string path;  // of a directory, which must not be there yet
};

// Each blob is checked against its digest while it is copied: a damaged store gives no archive. Docker
// before 23 knows no zstd, so the Docker format has such layers decompressed.
Result<void> save_images(const std::string& store, const std::vector<ImageToSave>& images,
                         ArchiveFormat format, const SaveTarget& target, Confinement& confinement);

}  // namespace bulkhead::storage
