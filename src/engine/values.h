// The small languages of flag values. Strict: the whole text, in range, or nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::engine {

// "512m", "1g", "1048576", "2GiB", "100kb": powers of 1024, any case. At most INT64_MAX.
std::optional<std::int64_t> parse_bytes(std::string_view text);

// "1.5" CPUs as thousandths of a CPU; at most three digits after the point.
std::optional<std::int64_t> parse_cpus(std::string_view text);

// "10" or "10s", "500ms", "1m30s", "2h": milliseconds, more than 0.
std::optional<std::int64_t> parse_duration(std::string_view text);

// A host name: labels of letters, digits and hyphens, at most 64 bytes, as sethostname(2) takes.
bool is_host_name(std::string_view text);

// A container's name: a letter or digit, then letters, digits and "_.-"; at most 128 bytes.
bool is_container_name(std::string_view text);

}  // namespace bulkhead::engine
