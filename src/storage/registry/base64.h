// Base64 (RFC 4648 section 4), with padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::storage {

std::string base64(std::string_view bytes);
// Strict: nothing but the alphabet, and padding where it belongs.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace bulkhead::storage
