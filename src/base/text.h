// Text that came from elsewhere: quoting it for people, and reading numbers out of it strictly.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

// `text` in double quotes, with control characters, quotes, backslashes and bytes that are not
// valid UTF-8 written as escapes, cut after `limit` bytes: safe for a terminal and a log line.
std::string quoted(std::string_view text, std::size_t limit = 256);

// The whole of `text` as a decimal number (hexadecimal and octal: pass the base); nothing for
// an empty text, a sign that the type lacks, trailing bytes or overflow.
template <std::integral Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Length of the valid UTF-8 sequence at the start of `text` (not empty), 0 when there is none.
// Overlong forms, surrogates and values over U+10FFFF are not valid.
std::size_t utf8_length(std::string_view text);

// Views into `text`, split at every `separator`; "a,,b" has three parts, "" has one.
std::vector<std::string_view> split(std::string_view text, char separator);

std::string_view trim(std::string_view text);

// Up to the first `separator`, which is taken off `rest` together with it.
std::string_view next_field(std::string_view& rest, char separator);

}  // namespace bulkhead
