// Reading a container's log, from the oldest of its files on, and following it while it grows and is
// rotated.
#pragma once

#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "supervise/log_compression.h"
#include "supervise/log_entry.h"
#include "sys/fd.h"

namespace bulkhead::supervise {

class LogReader {
 public:
  // False: enough.
  using Visit = std::function<bool(std::string_view line)>;

  // `directory`: of the container; borrowed.
  explicit LogReader(int directory) : directory_(directory) {}

  // All lines that are there, or the last `tail` of them. Then read_new() goes on where it ended.
  Result<void> read(std::optional<std::size_t> tail, const Visit& visit);
  // What has come since, through any number of rotations that left the files in place.
  Result<void> read_new(const Visit& visit);

  // A descriptor that becomes readable when there may be something new; drained by changed().
  Result<int> watch();
  void changed() const noexcept;

 private:
  Result<bool> open_current();
  Result<std::vector<LogSource>> open_all();
  std::optional<LogSource> open_rotated(int number) const;
  Result<bool> take_lines(const Visit& visit);

  int directory_;
  std::optional<LogSource> file_;
  std::string partial_;  // the beginning of a line that is still being written
  Fd notify_;
};

}  // namespace bulkhead::supervise
