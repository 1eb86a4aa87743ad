// Sending and receiving one message with the descriptors that go with it (SOCK_SEQPACKET,
// SCM_RIGHTS).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead::storage {

struct PacketPair {
  Fd ours;
  Fd theirs;
  static Result<PacketPair> make();
};

struct Packet {
  std::string message;
  std::vector<Fd> descriptors;
};

inline constexpr std::size_t kMostDescriptors = 4;

Result<void> send_packet(int socket, std::string_view message,
                         std::span<const int> descriptors = {});

// Exactly `descriptors` of them must have come along, else what came is closed and it is an error; so
// is the end of the other side (kState). `milliseconds`: how long to wait at most; -1 for ever.
Result<Packet> receive_packet(int socket, std::size_t descriptors, int milliseconds = -1);
// As receive_packet, with at most that many.
Result<Packet> receive_packet_up_to(int socket, std::size_t descriptors, int milliseconds = -1);

}  // namespace bulkhead::storage
