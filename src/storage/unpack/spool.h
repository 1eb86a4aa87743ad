// Bringing what cannot be read twice, or is compressed, into a file of the store's staging directory.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "storage/unpack/confinement.h"
#include "sys/fd.h"

namespace bulkhead::storage {

// Everything from `input`, decompressed by a confined process if it is compressed, into `output`; the
// SHA-256 of what was written. kInvalid when that is more than `limit` bytes. The calling process must
// be single-threaded.
Result<std::string> spool_decompressed(int input, int output, std::uint64_t limit,
                                       Confinement& confinement);

// Everything from `input` as it is; its SHA-256.
Result<std::string> spool(int input, int output, std::uint64_t limit);

}  // namespace bulkhead::storage
