// Where the output of a container goes, line by line.
#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <string_view>

namespace bulkhead::supervise {

enum class LogDriver : std::uint8_t { kNone, kJsonFile, kJournald };

constexpr std::string_view name_of(LogDriver driver) {
  if (driver == LogDriver::kNone) return "none";
  return driver == LogDriver::kJournald ? "journald" : "json-file";
}

// What is the same in every entry of a log, ready to be written: of json-file a JSON object ("attrs"),
// of journald fields in the journal's native form.
inline constexpr std::size_t kMostLogAttributes = 2048;

// Plain data: it crosses from one process to another.
struct LogSettings {
  LogDriver driver = LogDriver::kJsonFile;
  std::int64_t most_bytes = -1;  // of one file; -1: without end
  std::int32_t most_files = 1;
  bool compress = false;  // the files that are put aside
  std::uint16_t attributes_size = 0;
  std::array<char, kMostLogAttributes> attributes{};

  std::string_view attributes_text() const { return {attributes.data(), attributes_size}; }
};

class Log {
 public:
  virtual ~Log() = default;
  // One line, or a part of one. What it fails at is counted, and said later.
  virtual void add(std::string_view line, std::string_view stream,
                   const timespec& now) noexcept = 0;
  // Nothing more comes for now.
  virtual void flush() noexcept = 0;
  // Gives memory back after a flood.
  virtual void trim() noexcept = 0;
  virtual bool flooded() const noexcept = 0;
};

}  // namespace bulkhead::supervise
