// The handshake between the two halves of a launch, and between a waiting container and `start`:
// whole messages over a SOCK_SEQPACKET socket, with descriptors beside them. Nothing here allocates.
//
// The child closes its end by execve (close-on-exec), so an end of file after kExecuting means that
// the workload runs; an end of file before it means that the child died.
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
  kExecuting,   // about to install the last layers and to call execve
  kFailed,      // a Failure follows
};

inline constexpr std::size_t kMostDescriptors = 128;  // in one message; the kernel's limit is 253

// What the child says when it cannot go on.
struct Failure {
  std::int32_t error = 0;
  char layer[32] = {};
  char call[96] = {};
  char subject[256] = {};  // empty: none
  // The first bytes of the file that execve refused, so that the parent can say why.
  std::uint32_t head_size = 0;
  char head[1024] = {};
};

struct Message {
  MessageType type{};
  std::int32_t number = 0;
  char purpose[16] = {};
};

// A received message; descriptors that nobody takes are closed by the destructor.
struct Received {
  Message message;
  Failure failure;
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

  SysResult<void> send(const Message& message, std::span<const int> descriptors = {},
                       const Failure* failure = nullptr) const noexcept;
  // Blocks until a message arrives or the other side is gone (end_of_file).
  SysResult<void> receive(Received& into) const noexcept;

  int get() const noexcept { return fd_.get(); }
  void close() noexcept { fd_.reset(); }

 private:
  Fd fd_;
};

// Copies as much of `text` as fits, with a terminating NUL.
void copy_text(std::span<char> target, std::string_view text) noexcept;

}  // namespace bulkhead::launch
