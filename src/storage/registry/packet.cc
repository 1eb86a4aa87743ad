#include "storage/registry/packet.h"

#include <poll.h>
#include <sys/socket.h>

#include <cstring>

#include "storage/registry/message.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kControlSize = CMSG_SPACE(kMostDescriptors * sizeof(int));

Result<void> wait_for_packet(int socket, int milliseconds) {
  struct pollfd entry{socket, POLLIN, 0};
  for (;;) {
    const int ready = ::poll(&entry, 1, milliseconds);
    if (ready > 0) return {};
    if (ready == 0) return fail(ErrorKind::kState, "no answer in time");
    if (errno != EINTR) return std::unexpected(Error(SysError{"poll", errno}));
  }
}

}  // namespace

Result<PacketPair> PacketPair::make() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return std::unexpected(Error(SysError{"socketpair", errno}));
  return PacketPair{Fd(ends[0]), Fd(ends[1])};
}

Result<void> send_packet(int socket, std::string_view message, std::span<const int> descriptors) {
  if (message.size() > kLongestMessage || descriptors.size() > kMostDescriptors)
    return fail(ErrorKind::kInvalid, "a message is too long");
  struct iovec part{const_cast<char*>(message.data()), message.size()};
  alignas(struct cmsghdr) char control[kControlSize] = {};
  struct msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    struct cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (::sendmsg(socket, &header, MSG_NOSIGNAL) >= 0) return {};
    if (errno != EINTR) return std::unexpected(Error(SysError{"sendmsg", errno}));
  }
}

Result<Packet> receive_packet_up_to(int socket, std::size_t descriptors, int milliseconds) {
  if (milliseconds >= 0) TRY(wait_for_packet(socket, milliseconds));
  Packet packet;
  packet.message.resize(kLongestMessage);
  struct iovec part{packet.message.data(), packet.message.size()};
  alignas(struct cmsghdr) char control[kControlSize] = {};
  struct msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t size = 0;
  do size = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  while (size < 0 && errno == EINTR);
  if (size < 0) return std::unexpected(Error(SysError{"recvmsg", errno}));
  for (struct cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr;
       rights = CMSG_NXTHDR(&header, rights)) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(rights) + i * sizeof(int), sizeof number);
      packet.descriptors.emplace_back(number);
    }
  }
  if (size == 0) return fail(ErrorKind::kState, "the process at the other end is gone");
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || packet.descriptors.size() > descriptors)
    return fail(ErrorKind::kInvalid, "a process said more than it may");
  packet.message.resize(static_cast<std::size_t>(size));
  return packet;
}

Result<Packet> receive_packet(int socket, std::size_t descriptors, int milliseconds) {
  TRY_ASSIGN(Packet packet, receive_packet_up_to(socket, descriptors, milliseconds));
  if (packet.descriptors.size() != descriptors)
    return fail(ErrorKind::kInvalid, "a process left out what goes with its message");
  return packet;
}

}  // namespace bulkhead::storage
