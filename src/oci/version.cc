#include "oci/version.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::oci {
namespace {

std::optional<std::uint32_t> parse_part(std::string_view text) {
  if (text.size() > 1 && text.front() == '0') return std::nullopt;  // no leading zeros
  return parse_number<std::uint32_t>(text);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Dot-separated identifiers of letters, digits and hyphens, none empty.
bool are_identifiers(std::string_view text, bool numbers_without_leading_zero) {
  for (const std::string_view part : split(text, '.')) {
    const bool number = std::all_of(part.begin(), part.end(), is_digit);
    const bool valid = std::all_of(part.begin(), part.end(), [](char c) {
      return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    });
    if (part.empty() || !valid) return false;
    if (numbers_without_leading_zero && number && part.size() > 1 && part.front() == '0') {
      return false;
    }
  }
  return true;
}

}  // namespace

std::optional<Version> parse_version(std::string_view text) {
  if (const std::size_t plus = text.find('+'); plus != std::string_view::npos) {
    if (!are_identifiers(text.substr(plus + 1), false)) return std::nullopt;
    text = text.substr(0, plus);
  }
  if (const std::size_t hyphen = text.find('-'); hyphen != std::string_view::npos) {
    if (!are_identifiers(text.substr(hyphen + 1), true)) return std::nullopt;
    text = text.substr(0, hyphen);
  }
  if (std::count(text.begin(), text.end(), '.') != 2) return std::nullopt;
  const auto major = parse_part(next_field(text, '.'));
  const auto minor = parse_part(next_field(text, '.'));
  const auto patch = parse_part(text);
  if (!major || !minor || !patch) return std::nullopt;
  return Version{*major, *minor, *patch};
}

}  // namespace bulkhead::oci
