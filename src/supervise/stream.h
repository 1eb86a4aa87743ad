// One stream of a container's output on its way into the log: bytes in, lines out. A line that is longer
// than kMostLine goes in several pieces, none of which cuts a character of UTF-8 in two.
#pragma once

#include <span>
#include <string_view>

#include "supervise/log.h"
#include "supervise/log_entry.h"
#include "sys/fd.h"

namespace bulkhead::supervise {

class Stream {
 public:
  static constexpr std::size_t kRoom = 80 * 1024;

  // `room`: kRoom bytes that outlive the stream.
  Stream(std::string_view name, std::uint8_t bit, char* room) noexcept
      : name_(name), bit_(bit), room_(room) {}

  void open(Fd source) noexcept;  // made non-blocking
  void close() noexcept { source_.reset(); }
  int get() const noexcept { return source_.get(); }
  std::uint8_t bit() const noexcept { return bit_; }

  enum class Read { kSome, kAll, kNothing, kEnd };
  // Reads once, at most `most` bytes. kAll: as many as there were, so that there may be more.
  Read read(std::size_t most) noexcept;
  // What read() has brought.
  std::span<const char> chunk() const noexcept { return {room_ + held_, fresh_}; }
  // Forgets all but its beginning.
  void cut(std::size_t most) noexcept { fresh_ = most < fresh_ ? most : fresh_; }
  // The lines in it go to the log; what is not yet a whole one is held back.
  void take_to(Log* log, const timespec& now) noexcept;
  // What is held back, when nothing more will come.
  void finish(Log* log, const timespec& now) noexcept;
  // Gives memory back after a flood.
  void trim() noexcept;
  bool flooded() const noexcept { return flooded_ && held_ == 0; }

 private:
  std::string_view name_;
  std::uint8_t bit_;
  char* room_;
  Fd source_;
  std::size_t held_ = 0;   // of an unfinished line, at the beginning of the room
  std::size_t fresh_ = 0;  // after it
  bool flooded_ = false;   // more than a page of the room is in use
  bool widened_ = false;   // the pipe
};

}  // namespace bulkhead::supervise
