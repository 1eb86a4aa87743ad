#include "launch/channel.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstring>

namespace bulkhead::launch {

SysResult<std::pair<Channel, Channel>> Channel::make_pair() noexcept {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return sys_fail("socketpair");
  return std::pair(Channel(Fd(ends[0])), Channel(Fd(ends[1])));
}

SysResult<void> Channel::send(const Message& message,
                              std::span<const int> descriptors) const noexcept {
  if (descriptors.size() > kMostDescriptors) return sys_fail_with(E2BIG, "sendmsg");
  struct iovec part{const_cast<Message*>(&message), sizeof message};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostDescriptors)];
  struct msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    std::memset(control, 0, header.msg_controllen);
    struct cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  while (::sendmsg(fd_.get(), &header, MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return sys_fail("sendmsg");
  return {};
}

SysResult<void> Channel::receive(Received& into) const noexcept {
  struct iovec content{&into.message, sizeof into.message};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostDescriptors)];
  struct msghdr header{};
  header.msg_iov = &content;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t size = 0;
  while ((size = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC)) < 0) {
    // A peer that died with our message unread shows as a reset, once, and before what it has said:
    // its last words, or the end of file, come after it.
    if (errno != EINTR && errno != ECONNRESET) return sys_fail("recvmsg");
  }
  into.descriptor_count = 0;
  into.end_of_file = size == 0;
  if (size == 0) return {};
  for (struct cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
       part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count && into.descriptor_count < kMostDescriptors; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(part) + i * sizeof(int), sizeof number);
      into.descriptors[into.descriptor_count++].reset(number);
    }
  }
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return sys_fail_with(EBADMSG, "recvmsg");
  if (static_cast<std::size_t>(size) != sizeof into.message)
    return sys_fail_with(EBADMSG, "recvmsg");
  // What the other side wrote is text only up to the NUL that we put there.
  into.message.purpose[sizeof into.message.purpose - 1] = '\0';
  return {};
}

}  // namespace bulkhead::launch
