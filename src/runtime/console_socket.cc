#include "runtime/console_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

// The socket's file held by descriptor, and its address by way of procfs: a path may be longer than
// the 107 bytes of a socket address (engines put it beneath a run directory and a 64-digit id).
Result<sockaddr_un> address_of(const std::string& path, Fd& holder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string text = path;
  if (text.size() >= sizeof address.sun_path) {
    TRY_ASSIGN(holder, open_at(AT_FDCWD, path.c_str(), O_PATH));
    text = "/proc/self/fd/" + std::to_string(holder.get());
  }
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  return address;
}

}  // namespace

Result<Fd> connect_to_receiver(const std::string& path) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return std::unexpected(Error(SysError{"socket", errno}));
  Fd holder;
  auto address = address_of(path, holder);
  if (!address) return std::unexpected(std::move(address).error().within("console socket"));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return std::unexpected(
        Error(SysError{"connect", errno, path.c_str()}).within("console socket"));
  return socket;
}

Result<void> send_descriptor(int socket, int descriptor, std::string_view name) {
  std::string text(name);
  struct iovec part{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  struct msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
    if (errno != EINTR)
      return std::unexpected(Error(SysError{"sendmsg", errno}).within("sending " + quoted(name)));
  return {};
}

}  // namespace bulkhead::runtime
