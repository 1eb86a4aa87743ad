// A container's log: a file that grows, is replaced by a new one when it has its size, and whose
// predecessors are kept as log.1 (the youngest) to log.<n-1>. Entries are written whole or not at all:
// when the disk is full they are lost and counted, and the log says so once it can be written again.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "supervise/log.h"
#include "supervise/log_entry.h"
#include "sys/error.h"
#include "sys/fd.h"

namespace bulkhead::supervise {

inline constexpr const char* kLogFile = "container.log";

class LogFile final : public Log {
 public:
  // `directory`: borrowed; the files are made there. Appends to what is there.
  LogFile(int directory, const LogSettings& settings) noexcept;

  // One line, or a part of one. What it fails at is counted, and said later.
  void add(std::string_view line, std::string_view stream, const timespec& now) noexcept override;
  // Everything that was added goes to the file.
  void flush() noexcept override;
  void trim() noexcept override;
  bool flooded() const noexcept override { return flooded_; }

  // Whether a file has been put aside that is to be compressed: asked and forgotten.
  bool take_rotated() noexcept;
  // The oldest file that was put aside and is not compressed; empty when there is none.
  Fd open_uncompressed() const noexcept;
  // kCompressedLog holds the file of that inode: they change places, if it is still kept.
  void take_compressed(ino_t original) noexcept;
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

// What a compression under way is written to.
inline constexpr const char* kCompressedLog = ".container.log.gz";

// "container.log.3", "container.log.3.gz".
std::string_view rotated_name(std::array<char, 40>& buffer, int number, bool compressed) noexcept;

}  // namespace bulkhead::supervise
