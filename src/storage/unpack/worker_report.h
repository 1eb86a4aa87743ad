// What a confined worker tells the overseer, as text on a pipe. The worker may have been taken over
// by what it parsed: everything is checked when it is read.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/unpack/extract.h"

namespace bulkhead::storage {

inline constexpr std::size_t kMostReport = (std::size_t{1} << 20) + 2 * kMostImpliedBytes;

std::string encode_report(const ExtractReport& report);
std::string encode_failure(const Error& error);

// The report, or the worker's failure, or kInvalid for anything else. An empty text is an empty
// report.
Result<ExtractReport> decode_report(std::string_view text);

}  // namespace bulkhead::storage
