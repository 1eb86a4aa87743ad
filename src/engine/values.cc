#include "engine/values.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <string>

#include "base/text.h"

namespace bulkhead::engine {
namespace {

constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::size_t digits_at_start(std::string_view text) {
  return std::min(text.find_first_not_of("0123456789"), text.size());
}

// Powers of 1024 as an exponent; nothing for an unknown unit.
std::optional<int> binary_unit(std::string_view unit) {
  std::string lower(unit);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (lower.empty() || lower == "b") return 0;
  constexpr std::string_view kPrefixes = "kmgtp";
  const std::size_t exponent = kPrefixes.find(lower.front());
  const std::string_view rest = std::string_view(lower).substr(1);
  if (exponent == std::string_view::npos || !(rest.empty() || rest == "b" || rest == "ib"))
    return std::nullopt;
  return static_cast<int>(exponent) + 1;
}

std::optional<std::uint64_t> milliseconds_of(std::string_view unit) {
  if (unit == "ms") return 1;
  if (unit == "s") return 1000;
  if (unit == "m") return 60'000;
  if (unit == "h") return 3'600'000;
  return std::nullopt;
}

}  // namespace

std::optional<std::int64_t> parse_bytes(std::string_view text) {
  const std::size_t digits = digits_at_start(text);
  const auto number = parse_number<std::uint64_t>(text.substr(0, digits));
  const auto exponent = binary_unit(text.substr(digits));
  if (!number || !exponent) return std::nullopt;
  const int shift = 10 * *exponent;
  if (*number > kMost >> shift) return std::nullopt;
  return static_cast<std::int64_t>(*number << shift);
}

std::optional<std::int64_t> parse_cpus(std::string_view text) {
  const std::string_view whole = next_field(text, '.');
  const auto cpus = parse_number<std::uint32_t>(whole);
  if (!cpus || *cpus > 1'000'000 || text.size() > 3 || digits_at_start(text) != text.size())
    return std::nullopt;
  std::string fraction(text);
  fraction.resize(3, '0');
  return std::int64_t{*cpus} * 1000 + *parse_number<std::int64_t>(fraction);
}

std::optional<std::int64_t> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t total = 0;
  std::uint64_t last_unit = std::numeric_limits<std::uint64_t>::max();
  while (!text.empty()) {
    const std::size_t digits = digits_at_start(text);
    const auto number = parse_number<std::uint64_t>(text.substr(0, digits));
    text.remove_prefix(digits);
    const std::size_t unit_size = std::min(text.find_first_of("0123456789"), text.size());
    std::string_view unit = text.substr(0, unit_size);
    text.remove_prefix(unit_size);
    if (unit.empty() && total == 0 && text.empty()) unit = "s";
    const auto milliseconds = milliseconds_of(unit);
    // "5s10m" is a slip of the pen: larger units come first.
    if (!number || !milliseconds || *milliseconds >= last_unit) return std::nullopt;
    last_unit = *milliseconds;
    if (*number > (kMost - total) / *milliseconds) return std::nullopt;
    total += *number * *milliseconds;
  }
  if (total == 0 || total > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  return static_cast<std::int64_t>(total);
}

bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 64) return false;
  return std::ranges::all_of(split(text, '.'), [](std::string_view label) {
    return !label.empty() && label.front() != '-' && label.back() != '-' &&
           std::ranges::all_of(
               label, [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_'; });
  });
}

bool is_container_name(std::string_view text) {
  return !text.empty() && text.size() <= 128 && is_letter_or_digit(text.front()) &&
         std::ranges::all_of(text, [](char c) {
           return is_letter_or_digit(c) || c == '_' || c == '.' || c == '-';
         });
}

}  // namespace bulkhead::engine
