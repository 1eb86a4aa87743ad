#include "sys/descriptors_from_child.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

namespace bulkhead {
namespace {

// With a descriptor beside it when the errno is 0. The call is static text of the same program: the
// pointer holds on both sides of the fork.
struct Answer {
  int error = 0;
  const char* call = "";
};

void send_answer(int socket, Answer answer, int fd) noexcept {
  struct iovec part = {&answer, sizeof answer};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  (void)::sendmsg(socket, &message, MSG_NOSIGNAL);
}

SysResult<Fd> receive_answer(int socket) noexcept {
  Answer answer;
  struct iovec part = {&answer, sizeof answer};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = -1;
  do size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (size < 0 && errno == EINTR);
  if (size < 0) return sys_fail("recvmsg");
  Fd descriptor;
  if (const struct cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    descriptor = Fd(fd);
  }
  if (size != static_cast<ssize_t>(sizeof answer)) return sys_fail_with(EPIPE, "recvmsg");
  if (answer.error != 0) return sys_fail_with(answer.error, answer.call);
  if (!descriptor) return sys_fail_with(EPROTO, "recvmsg");
  return descriptor;
}

}  // namespace

SysResult<std::vector<Fd>> descriptors_from_child(
    std::size_t count, const std::function<SysResult<void>(const GiveDescriptor& give)>& work) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return sys_fail("socketpair");
  const Fd ours(ends[0]);
  Fd theirs(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return sys_fail("fork");
  if (child == 0) {
    const auto done =
        work([&](const Fd& descriptor) { send_answer(theirs.get(), {}, descriptor.get()); });
    if (!done) send_answer(theirs.get(), {done.error().error, done.error().call}, -1);
    ::_exit(0);
  }
  theirs.reset();
  std::vector<Fd> descriptors;
  std::optional<SysError> failure;
  while (!failure && descriptors.size() < count) {
    auto descriptor = receive_answer(ours.get());
    if (descriptor)
      descriptors.push_back(std::move(*descriptor));
    else
      failure = descriptor.error();
  }
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
  if (failure) return std::unexpected(*failure);
  return descriptors;
}

}  // namespace bulkhead
