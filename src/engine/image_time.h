// When images were made, for people and for filters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::engine {

// RFC 3339 ("2024-05-01T10:00:00.123Z", "…+02:00"), or the date alone: seconds since 1970.
std::optional<std::int64_t> parse_time(std::string_view text);

// "2 weeks", "About an hour", "Less than a second", as Docker has it.
std::string describe_duration(std::int64_t seconds);

// "2024-05-01 10:00:00 +0000 UTC".
std::string describe_time(std::int64_t time);

// "1.24MB": powers of 1000 with three digits, as Docker has it.
std::string describe_size(std::uint64_t bytes);

}  // namespace bulkhead::engine
