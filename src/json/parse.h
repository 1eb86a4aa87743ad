// The strict reader. An error, with what the place is: duplicate keys, more depth, size or values
// than the limits, invalid UTF-8, a byte order mark, NUL bytes, comments, text after the value.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"
#include "json/value.h"

namespace bulkhead::json {

struct Limits {
  std::size_t bytes = 16 * 1024 * 1024;  // of the text; at most 4 GiB - 1
  std::size_t depth = 64;                // of nested arrays and objects
  std::size_t values = 1024 * 1024;      // bounds the memory that a hostile text makes us use
};

// Syntax errors name line and column, all others the JSON pointer (RFC 6901).
Result<Document> parse(std::string_view text, const Limits& limits = {});

}  // namespace bulkhead::json
