// Sizes as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::cli {

// "1048576", "512m", "1.5g", "64KiB", "-1"; powers of 1024. Nothing for anything else, or overflow.
std::optional<std::int64_t> parse_byte_size(std::string_view text);

}  // namespace bulkhead::cli
