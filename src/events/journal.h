// The journal of events: two files that lines are appended to, by whoever does what they tell of.
//
//   <directory>/log     the current one
//   <directory>/log.1   the one before it
//
// There is no daemon that could order them: a line is one write(2) to a file opened with O_APPEND, which
// the kernel carries out one after the other. Nothing is synced: the journal lies where what runs is
// remembered, and goes with it at a reboot. A file that has grown over its bound becomes log.1 by a
// rename; a line that is on its way then lands in log.1, where readers still look.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "events/event.h"
#include "sys/fd.h"

namespace bulkhead::events {

inline constexpr std::uint64_t kMostFile = 1 << 20;

// Appends the event, and gives it the time when it has none. What fails is not told: an act does not fail
// because it cannot be written down. Three system calls.
void record(const std::string& directory, Event event,
            std::uint64_t most_file = kMostFile) noexcept;

class Journal {
 public:
  explicit Journal(std::string directory) : directory_(std::move(directory)) {}

  // A descriptor that becomes readable when there may be more. To be called before the first read, so
  // that nothing comes between.
  Result<int> watch();
  // Takes note of its being readable.
  void changed();

  // Every event that has not been read yet, in the order in which they were written. False: enough.
  using Visit = std::function<bool(const Event&)>;
  Result<void> read(const Visit& visit);

 private:
  struct File {
    Fd fd;
    ino_t inode = 0;
    std::string rest;  // of a line that is not whole yet
  };
  Result<void> find_files();
  Result<bool> read_file(File& file, const Visit& visit);

  std::string directory_;
  Fd notify_;
  std::vector<File> files_;  // the oldest first
};

}  // namespace bulkhead::events
