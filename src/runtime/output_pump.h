// What a container writes to its standard output and error, on its way to ours, and counted: nothing
// beyond a limit goes through.
#pragma once

#include <poll.h>

#include <array>
#include <cstdint>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead::runtime {

class OutputPump {
 public:
  // Our standard output and error become pipes until restore(): whoever is made in between writes
  // into them.
  static Result<OutputPump> divert(std::uint64_t most);
  Result<void> restore();

  OutputPump(OutputPump&&) noexcept = default;
  OutputPump& operator=(OutputPump&&) = delete;
  ~OutputPump() = default;

  static constexpr std::size_t kPollItems = 2;
  void prepare(std::array<struct pollfd, kPollItems>& items) const noexcept;
  void serve(const std::array<struct pollfd, kPollItems>& items) noexcept;
  // After the end: what is still in the pipes.
  void drain() noexcept;

  // More than the limit was written; what was within it has gone through.
  bool exceeded() const noexcept { return exceeded_; }

 private:
  explicit OutputPump(std::uint64_t left) : left_(left) {}

  struct Stream {
    Fd from;
    Fd write_end;  // until restore()
    Fd to;         // ours, as it was
    // A pipe that can be written takes this much without blocking.
    std::array<char, 4096> bytes{};
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  void fill(Stream& stream) noexcept;
  void give(Stream& stream) noexcept;

  std::array<Stream, 2> streams_;
  std::uint64_t left_;
  bool exceeded_ = false;
};

}  // namespace bulkhead::runtime
