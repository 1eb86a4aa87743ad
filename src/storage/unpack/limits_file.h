// The limits of layers, where an administrator has set others: KEY = NUMBER on each line, as TOML has
// it (numbers may have underscores, comments begin with #). Keys: entries, bytes, ratio.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/unpack/extract.h"

namespace bulkhead::storage {

inline constexpr const char* kLimitsFile = "/etc/bulkhead/layers.toml";

// kInvalid names the line; a key that nothing knows is one. `file` is for messages.
Result<ExtractLimits> parse_limits(std::string_view text, const std::string& file);

// The usual ones when there is no such file.
Result<ExtractLimits> read_limits(const std::string& file = kLimitsFile);

}  // namespace bulkhead::storage
