// One line of a log as Docker's json-file driver writes it:
//   {"log":"text\n","stream":"stdout","time":"2026-01-31T23:59:59.123456789Z"}
// with "attrs":{...} before the time where labels, variables or a tag were asked for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::supervise {

// A line that is longer is written as several entries, of which only the last ends with a newline.
inline constexpr std::size_t kMostLine = 16384;
// What an entry adds to its text, at most; and a byte becomes six at most (\u0001).
inline constexpr std::size_t kEntryFrame = 112;
inline constexpr std::size_t kMostEntry = kMostLine * 6 + kEntryFrame;

// The time of day as RFC 3339 with nanoseconds, UTC; formats the date once a second.
class TimeText {
 public:
  std::string_view of(const timespec& time) noexcept;

 private:
  std::array<char, 30> text_{};
  std::time_t second_ = -1;
};

// Writes the entry to `out`, which has room for kMostEntry; its size. Bytes that are not UTF-8 become
// U+FFFD each. Neither allocates nor formats.
// `attributes`: a JSON object, or nothing; its size comes on top of kMostEntry.
std::size_t encode_entry(char* out, std::string_view line, std::string_view stream,
                         std::string_view time, std::string_view attributes = {}) noexcept;

struct LogEntry {
  std::string text;
  bool error_stream = false;
  std::string time;
  std::vector<std::pair<std::string, std::string>> attributes;
};
// Nothing for what is no entry.
std::optional<LogEntry> decode_entry(std::string_view line);

}  // namespace bulkhead::supervise
