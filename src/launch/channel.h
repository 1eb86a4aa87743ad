// The handshake between the two halves of a launch, and between a waiting container and `start`:
// whole messages over a SOCK_SEQPACKET socket, with descriptors beside them. Nothing here allocates.
//
// The child closes its end by execve (close-on-exec) and by its death. Which of them it was, and why
// it failed, stands in the Outcome.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead::launch {

enum class MessageType : std::uint32_t {
  // Parent to child.
  kIdMapsWritten = 1,  // the user namespace's maps stand
  kMounts,             // detached mounts, appended to the list in order
  kCgroups,            // membership files, all in one message
  kContinue,           // the hooks that the child waited for have run
  kStart,              // `start` releases the container
  // Child to parent.
  kCloned,      // from the process that joins namespaces: number = pid of the child, + its pidfd
  kDescriptor,  // purpose says which; + the descriptor
  kRootBuilt,   // namespaces and mounts stand, the root is not switched yet
  kReady,       // every layer but the last two holds; waiting for the start
  kOutcome,     // to `start`, which does not share memory with it: + the Outcome's descriptor
};

inline constexpr std::size_t kMostDescriptors = 128;  // in one message; the kernel's limit is 253

struct Message {
  MessageType type{};
  std::int32_t number = 0;
  char purpose[16] = {};
};

// A received message; descriptors that nobody takes are closed by the destructor.
struct Received {
  Message message;
  std::array<Fd, kMostDescriptors> descriptors;
  std::size_t descriptor_count = 0;
  bool end_of_file = false;
};

class Channel {
 public:
  Channel() = default;
  explicit Channel(Fd fd) noexcept : fd_(std::move(fd)) {}

  // Parent's end, child's end.
  static SysResult<std::pair<Channel, Channel>> make_pair() noexcept;

  SysResult<void> send(const Message& message,
                       std::span<const int> descriptors = {}) const noexcept;
  // Blocks until a message arrives or the other side is gone (end_of_file).
  SysResult<void> receive(Received& into) const noexcept;

  int get() const noexcept { return fd_.get(); }
  void close() noexcept { fd_.reset(); }

 private:
  Fd fd_;
};

}  // namespace bulkhead::launch
