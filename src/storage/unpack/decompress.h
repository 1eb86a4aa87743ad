// Decompressing a layer from one descriptor to another.
#pragma once

#include <string_view>

#include "base/result.h"

namespace bulkhead::storage {

enum class Compression { kNone, kGzip, kZstd };

// By the first bytes, at least 4 of them; what the media type says is not asked, because the content
// is verified by its digest anyway.
Compression sniff_compression(std::string_view head);

// Until the end of `input`, compressed in whatever way. Several gzip members or zstd frames one after
// the other are one stream. Needs no system calls but read, write and those of the allocator.
Result<void> decompress(int input, int output);

}  // namespace bulkhead::storage
