// A tar of files, of no image: into a directory that is given.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "storage/unpack/confinement.h"
#include "storage/unpack/extract.h"

namespace bulkhead::storage {

// `input`: a tar, plain or compressed by gzip or zstd; a pipe or a file. `directory`: empty, and open.
// Returns what the user should know.
Result<std::vector<std::string>> extract_archive(const std::string& store, int input, int directory,
                                                 Confinement& confinement, ExtractLimits limits);

}  // namespace bulkhead::storage
