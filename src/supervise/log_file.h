// A container's log: a file that grows, is replaced by a new one when it has its size, and whose
// predecessors are kept as log.1 (the youngest) to log.<n-1>. Entries are written whole or not at all:
// when the disk is full they are lost and counted, and the log says so once it can be written again.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "supervise/log_entry.h"
#include "sys/error.h"
#include "sys/fd.h"

namespace bulkhead::supervise {

inline constexpr const char* kLogFile = "container.log";

enum class LogDriver : std::uint8_t { kNone, kJsonFile, kJournald };

// Plain data: it crosses from one process to another.
struct LogSettings {
  LogDriver driver = LogDriver::kJsonFile;
  std::int64_t most_bytes = -1;  // of one file; -1: without end
  std::int32_t most_files = 1;
  bool compress = false;
};

class LogFile {
 public:
  // `directory`: borrowed; the files are made there. Appends to what is there.
  LogFile(int directory, const LogSettings& settings) noexcept;

  // One line, or a part of one. What it fails at is counted, and said later.
  void add(std::string_view line, std::string_view stream, const timespec& now) noexcept;
  // Everything that was added goes to the file.
  void flush() noexcept;

  // Whether a file has just been put aside that is to be compressed: asked and forgotten.
  bool take_rotated() noexcept;
  // Gives memory back after a flood.
  void trim() noexcept;
  bool flooded() const noexcept { return flooded_; }
  std::uint64_t lost_bytes() const noexcept { return lost_bytes_; }

 private:
  bool open() noexcept;
  void rotate() noexcept;
  bool write_out() noexcept;
  void report_loss(const timespec& now) noexcept;

  int directory_;
  LogSettings settings_;
  Fd file_;
  std::int64_t size_ = 0;       // of the file, as far as it is whole
  std::size_t used_ = 0;        // of the buffer
  std::uint64_t buffered_ = 0;  // bytes of text that the buffer stands for
  std::uint64_t lost_bytes_ = 0;
  std::uint64_t reported_ = 0;
  int loss_ = 0;  // why
  bool rotated_ = false;
  bool flooded_ = false;
  TimeText time_;
};

// "container.log.3", "container.log.3.gz".
std::string_view rotated_name(std::array<char, 40>& buffer, int number, bool compressed) noexcept;

}  // namespace bulkhead::supervise
