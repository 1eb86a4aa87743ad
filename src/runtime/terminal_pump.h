// Bytes between our own standard input and output and a terminal's master side, without ever
// blocking on one direction while the other has something to say.
#pragma once

#include <poll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/result.h"
#include "oci/spec.h"
#include "sys/error.h"
#include "sys/fd.h"

namespace bulkhead::runtime {

// The size of our own terminal, of standard output or else input; nothing when neither is one. A
// program that starts in a terminal asks for its size at once: it must be right before execve.
std::optional<oci::ConsoleSize> own_terminal_size() noexcept;

class TerminalPump {
 public:
  // `input` and `output` are borrowed. Of what the container writes, `most` bytes go through.
  TerminalPump(Fd master, int input, int output, std::uint64_t most = UINT64_MAX);

  // Makes the container's terminal as large as ours; nothing when ours is none.
  void copy_size() const noexcept;

  static constexpr std::size_t kPollItems = 3;
  // What to poll for now, and what to do with the answer.
  void prepare(std::array<struct pollfd, kPollItems>& items) const noexcept;
  void serve(const std::array<struct pollfd, kPollItems>& items) noexcept;
  // After the process has ended: what is still in the terminal goes out, as far as it is taken.
  void drain() noexcept;
  // What of the container's output was lost on the way, other than for want of a reader.
  const std::optional<SysError>& loss() const noexcept { return loss_; }
  bool open() const noexcept { return static_cast<bool>(master_); }
  // Bytes that the container has written.
  std::uint64_t taken_from_container() const noexcept { return taken_; }

 private:
  // Bytes that one side has given and the other has not taken yet.
  struct Buffer {
    std::array<char, 8192> bytes;
    std::size_t begin = 0;
    std::size_t end = 0;
    bool empty() const { return begin == end; }
    bool fill_from(int fd) noexcept;  // false: end of file or broken
    bool write_to(int fd) noexcept;   // false: broken
  };
  void take_from_container() noexcept;
  void give_output() noexcept;

  Fd master_;
  int input_;
  int output_;
  bool input_open_ = true;
  Buffer to_container_;
  Buffer from_container_;
  std::optional<SysError> loss_;
  std::uint64_t taken_ = 0;
  std::uint64_t most_;
};

}  // namespace bulkhead::runtime
