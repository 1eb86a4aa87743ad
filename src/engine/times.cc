#include "engine/times.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "base/text.h"
#include "engine/values.h"

namespace bulkhead::engine {
namespace {

// Digits at the front of `text`, exactly `count`, which are taken off together with `after` ('\0': none).
std::optional<int> take(std::string_view& text, std::size_t count, char after) {
  if (text.size() < count + (after != '\0' ? 1 : 0)) return std::nullopt;
  const auto number = parse_number<int>(text.substr(0, count));
  if (!number || *number < 0 || text[0] == '-' || (after != '\0' && text[count] != after))
    return std::nullopt;
  text.remove_prefix(count + (after != '\0' ? 1 : 0));
  return number;
}

// ".123", taken off, as nanoseconds; 0 without.
std::optional<std::int64_t> take_fraction(std::string_view& text) {
  if (!text.starts_with('.')) return 0;
  text.remove_prefix(1);
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || digits > 9) return std::nullopt;
  std::string padded(text.substr(0, digits));
  padded.resize(9, '0');
  text.remove_prefix(digits);
  return parse_number<std::int64_t>(padded);
}

// "Z", "+02:00"; seconds east of Greenwich.
std::optional<int> zone_of(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const int sign = text[0] == '-' ? -1 : 1;
  text.remove_prefix(1);
  const auto hours = take(text, 2, ':');
  const auto minutes = take(text, 2, '\0');
  if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return sign * (*hours * 3600 + *minutes * 60);
}

std::optional<std::int64_t> take_date(std::string_view& text, char after) {
  using namespace std::chrono;
  const auto y = take(text, 4, '-');
  const auto m = take(text, 2, '-');
  const auto d = take(text, 2, after);
  if (!y || !m || !d) return std::nullopt;
  const year_month_day date(year(*y), month(static_cast<unsigned>(*m)),
                            day(static_cast<unsigned>(*d)));
  if (!date.ok()) return std::nullopt;
  return sys_days(date).time_since_epoch().count() * std::int64_t{86'400};
}

}  // namespace

std::optional<timespec> parse_rfc3339(std::string_view text) {
  const auto date = take_date(text, 'T');
  if (!date) return std::nullopt;
  const auto hours = take(text, 2, ':');
  const auto minutes = take(text, 2, ':');
  const auto seconds = take(text, 2, '\0');
  const auto fraction = take_fraction(text);
  const auto zone = zone_of(text);
  if (!hours || !minutes || !seconds || !fraction || !zone || *hours > 23 || *minutes > 59 ||
      *seconds > 60)
    return std::nullopt;
  return timespec{*date + *hours * 3600 + *minutes * 60 + *seconds - *zone, *fraction};
}

std::optional<timespec> parse_moment(std::string_view text, const timespec& now) {
  if (const auto exact = parse_rfc3339(text)) return exact;
  if (const auto in_utc = parse_rfc3339(std::string(text) + "Z")) return in_utc;
  std::string_view rest = text;
  if (const auto date = take_date(rest, '\0'); date && rest.empty()) return timespec{*date, 0};
  rest = text;
  const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  if (digits > 0) {
    const auto seconds = parse_number<std::int64_t>(rest.substr(0, digits));
    rest.remove_prefix(digits);
    const auto fraction = take_fraction(rest);
    if (seconds && fraction && rest.empty()) return timespec{*seconds, *fraction};
  }
  // No time ago, which is no duration elsewhere.
  if (text == "0s" || text == "0m" || text == "0h") return now;
  const auto milliseconds = parse_duration(text);
  if (!milliseconds) return std::nullopt;
  timespec moment{now.tv_sec - *milliseconds / 1000,
                  now.tv_nsec - *milliseconds % 1000 * 1'000'000};
  if (moment.tv_nsec < 0) {
    --moment.tv_sec;
    moment.tv_nsec += 1'000'000'000;
  }
  return moment;
}

}  // namespace bulkhead::engine
