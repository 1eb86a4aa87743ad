#include "storage/registry/base64.h"

#include <cstdint>

namespace bulkhead::storage {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string base64(std::string_view bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view group = bytes.substr(at, 3);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i)
      bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i)
      out += i <= group.size() ? kAlphabet[bits >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += 4) {
    std::string_view group = text.substr(at, 4);
    if (at + 4 == text.size())
      for (int i = 0; i < 2 && group.ends_with('='); ++i) group.remove_suffix(1);
    std::uint32_t bits = 0;
    for (const char c : group) {
      const std::size_t value = kAlphabet.find(c);
      if (value == std::string_view::npos) return std::nullopt;
      bits = bits << 6 | static_cast<std::uint32_t>(value);
    }
    bits <<= 6 * (4 - group.size());
    for (std::size_t i = 0; i + 1 < group.size(); ++i)
      out += static_cast<char>(bits >> (16 - 8 * i) & 0xFF);
    // The bits that padding leaves over are zero, so that a text has one spelling only.
    if ((bits & ((1U << (8 * (4 - group.size()))) - 1)) != 0) return std::nullopt;
  }
  return out;
}

}  // namespace bulkhead::storage
