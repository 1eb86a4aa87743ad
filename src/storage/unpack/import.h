// Bringing an image into the store: index, manifest and configuration checked against their digests,
// every missing layer unpacked and verified, and then, as the last act, the record that makes it
// known. A crash at any moment leaves nothing but the staging directory, which the next import
// removes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "storage/unpack/confinement.h"
#include "storage/unpack/extract.h"

namespace bulkhead::storage {

struct Import {
  std::string store;      // an existing directory
  std::string source;     // an OCI layout directory or archive
  std::string reference;  // may be empty
};

// What the user should know of it: device nodes that were left out, ids beyond the usual range.
struct ImportNotices {
  std::vector<std::string> lines;
};

Result<ImportNotices> import_image(const Import& wanted, Confinement& confinement,
                                   const ExtractLimits& limits = {});

}  // namespace bulkhead::storage
