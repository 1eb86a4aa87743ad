// Points in time as logs have them and as users ask for them.
#pragma once

#include <ctime>
#include <optional>
#include <string_view>

namespace bulkhead::engine {

// "2026-01-31T23:59:59.123456789Z", with or without a fraction, with "Z" or an offset.
std::optional<timespec> parse_rfc3339(std::string_view text);

// --since and --until: RFC 3339 (also a date alone, or without a zone: UTC), seconds since 1970 with or
// without a fraction, or a duration before `now` ("10m", "1h30m").
std::optional<timespec> parse_moment(std::string_view text, const timespec& now);

}  // namespace bulkhead::engine
