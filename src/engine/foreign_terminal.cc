#include "engine/foreign_terminal.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace bulkhead::engine {
namespace {

constexpr int kTerminalMilliseconds = 10'000;

}  // namespace

Result<std::string> TerminalReceiver::listen(int bundle) {
  socket_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const std::string path =
      "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(bundle) + "/console";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (!socket_ ||
      ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket_.get(), 1) != 0)
    return std::unexpected(Error(SysError{"bind", errno, "the console socket"}));
  const timeval patience{kTerminalMilliseconds / 1000, 0};
  (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return path;
}

Result<Fd> TerminalReceiver::receive() const {
  const Fd peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!peer) return std::unexpected(Error(SysError{"accept4", errno}).within("the terminal"));
  char name[256];
  union {
    cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control{};
  iovec part{name, sizeof name};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.space;
  message.msg_controllen = sizeof control.space;
  if (::recvmsg(peer.get(), &message, MSG_CMSG_CLOEXEC) < 0)
    return std::unexpected(Error(SysError{"recvmsg", errno}).within("the terminal"));
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int)))
    return fail(ErrorKind::kInvalid, "the runtime has sent no terminal");
  int number = -1;
  std::memcpy(&number, CMSG_DATA(header), sizeof number);
  return Fd(number);
}

}  // namespace bulkhead::engine
