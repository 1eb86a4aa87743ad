// gzip for the log files that a rotation has put aside, and for their readers.
#pragma once

#include <sys/types.h>

#include <memory>
#include <span>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead::supervise {

// For a process of its own, which it makes the last to be served: writes `file`, compressed, to
// kCompressedLog in `directory`.
bool compress_log(int directory, int file) noexcept;

// Reads a log file from its current place on, compressed or not.
class LogSource {
 public:
  // `compressed`: the file is gzip, and is read from its beginning.
  LogSource(Fd file, bool compressed);
  LogSource(LogSource&&) noexcept;
  LogSource& operator=(LogSource&&) noexcept;
  ~LogSource();

  // Of the file as it was written by the monitor: a compressed one says whose it is.
  ino_t inode() const noexcept;
  bool compressed() const noexcept { return static_cast<bool>(gzip_); }
  int get() const noexcept { return file_.get(); }
  // 0 at its end, which a plain file that grows has for now.
  Result<std::size_t> read(std::span<char> bytes);
  // A compressed file from its beginning once more.
  Result<void> rewind();

 private:
  struct Gzip;
  Fd file_;
  std::unique_ptr<Gzip> gzip_;
};

}  // namespace bulkhead::supervise
