// Making an image of one layer out of a tar of a root file system.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/reference.h"
#include "storage/unpack/confinement.h"
#include "storage/unpack/extract.h"

namespace bulkhead::storage {

struct TreeToImport {
  int input = -1;      // a tar, plain or compressed by gzip or zstd; a pipe or a file
  std::string config;  // the image's configuration, but for its layer; no architecture: ours
  std::optional<Reference> name;
};

struct ImportedTree {
  std::string id;                  // "sha256:…"
  std::vector<std::string> notes;  // what the user should know
};

// The layer is kept as it came, compressed or not.
Result<ImportedTree> import_tree(const std::string& store, const TreeToImport& tree,
                                 Confinement& confinement, const ExtractLimits& limits = {});

}  // namespace bulkhead::storage
