#include "engine/image_time.h"

#include <time.h>

#include <array>
#include <cstdio>

#include "base/text.h"

namespace bulkhead::engine {
namespace {

// The number in exactly `digits` digits at the beginning, taken off.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  const std::string_view number = text.substr(0, digits);
  if (number.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  text.remove_prefix(digits);
  return parse_number<int>(number);
}

bool take(std::string_view& text, std::string_view characters) {
  if (text.empty() || characters.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::int64_t> take_offset(std::string_view text) {
  if (take(text, "Zz")) return text.empty() ? std::optional<std::int64_t>(0) : std::nullopt;
  const bool west = text.starts_with('-');
  if (!take(text, "+-")) return std::nullopt;
  const auto hours = take_digits(text, 2);
  const bool separated = take(text, ":");
  const auto minutes = take_digits(text, 2);
  if (!hours || !separated || !minutes || *hours > 23 || *minutes > 59 || !text.empty())
    return std::nullopt;
  const std::int64_t seconds = (*hours * 60 + *minutes) * 60;
  return west ? -seconds : seconds;
}

std::string some(std::int64_t count, const char* unit) {
  return std::to_string(count) + " " + unit;
}

}  // namespace

std::optional<std::int64_t> parse_time(std::string_view text) {
  struct tm parts{};
  const auto year = take_digits(text, 4);
  const bool first = take(text, "-");
  const auto month = take_digits(text, 2);
  const bool second = take(text, "-");
  const auto day = take_digits(text, 2);
  if (!year || !month || !day || !first || !second || *month < 1 || *month > 12 || *day < 1 ||
      *day > 31)
    return std::nullopt;
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  if (text.empty()) return ::timegm(&parts);
  if (!take(text, "Tt ")) return std::nullopt;
  const auto hour = take_digits(text, 2);
  const bool third = take(text, ":");
  const auto minute = take_digits(text, 2);
  const bool fourth = take(text, ":");
  const auto seconds = take_digits(text, 2);
  if (!hour || !minute || !seconds || !third || !fourth || *hour > 23 || *minute > 59 ||
      *seconds > 60)
    return std::nullopt;
  parts.tm_hour = *hour;
  parts.tm_min = *minute;
  parts.tm_sec = *seconds;
  if (take(text, ".")) {
    const std::size_t end = text.find_first_not_of("0123456789");
    if (end == 0 || end == std::string_view::npos) return std::nullopt;
    text.remove_prefix(end);
  }
  const auto offset = take_offset(text);
  if (!offset) return std::nullopt;
  return ::timegm(&parts) - *offset;
}

std::string describe_duration(std::int64_t seconds) {
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return some(seconds, "seconds");
  const std::int64_t minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return some(minutes, "minutes");
  const std::int64_t hours = (seconds + 1800) / 3600;
  if (hours == 1) return "About an hour";
  if (hours < 48) return some(hours, "hours");
  if (hours < 24 * 7 * 2) return some(hours / 24, "days");
  if (hours < 24 * 30 * 2) return some(hours / 24 / 7, "weeks");
  if (hours < 24 * 365 * 2) return some(hours / 24 / 30, "months");
  return some(seconds / (std::int64_t{3600} * 24 * 365), "years");
}

std::string describe_time(std::int64_t time) {
  struct tm parts{};
  char text[64];
  const time_t value = time;
  if (::gmtime_r(&value, &parts) == nullptr ||
      ::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S +0000 UTC", &parts) == 0)
    return "N/A";
  return text;
}

std::string describe_size(std::uint64_t bytes) {
  constexpr std::array kUnits{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double size = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (size >= 1000 && unit + 1 < kUnits.size()) {
    size /= 1000;
    ++unit;
  }
  char text[32];
  (void)std::snprintf(text, sizeof text, "%.3g%s", size, kUnits[unit]);
  // %g turns 999.9 into 1e+03.
  if (std::string_view(text).find('e') != std::string_view::npos)
    (void)std::snprintf(text, sizeof text, "%.0f%s", size, kUnits[unit]);
  return text;
}

}  // namespace bulkhead::engine
