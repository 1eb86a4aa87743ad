#include "isolation/seccomp/listener.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

SysResult<Fd> connect_to(const std::string& path) {
  Fd connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!connection) return sys_fail("socket(AF_UNIX)");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string reachable = path;
  Fd socket_file;
  if (path.size() >= sizeof address.sun_path) {  // too long for an address, not for a file
    auto opened = open_at(AT_FDCWD, path.c_str(), O_PATH);
    if (!opened) return std::unexpected(opened.error());
    socket_file = std::move(*opened);
    reachable = "/proc/self/fd/" + std::to_string(socket_file.get());
  }
  std::memcpy(address.sun_path, reachable.c_str(), reachable.size() + 1);
  if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sys_fail("connect", path.c_str());
  return connection;
}

// All of `text`, and `descriptor` with the first byte.
SysResult<void> send_with_descriptor(int connection, std::string_view text, int descriptor) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec data{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  ssize_t sent = 0;
  while ((sent = ::sendmsg(connection, &message, MSG_NOSIGNAL)) < 0)
    if (errno != EINTR) return sys_fail("sendmsg");
  for (auto done = static_cast<std::size_t>(sent); done < text.size();) {
    sent = ::send(connection, text.data() + done, text.size() - done, MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) return sys_fail("send");
    if (sent > 0) done += static_cast<std::size_t>(sent);
  }
  return {};
}

}  // namespace

Result<void> hand_over_listener(const Seccomp::Plan& plan, oci::State state, Fd listener) {
  oci::ContainerProcessState document;
  document.fds = {"seccompFd"};
  document.pid = state.pid;
  document.metadata = plan.listener_metadata;
  document.state = std::move(state);
  const std::string text = oci::encode(document);
  const auto explained = [&](const SysError& error) {
    return std::unexpected(
        Error(error)
            .within("seccomp: handing the listener to the agent at " + quoted(plan.listener_path))
            .with_hint("linux.seccomp.listenerPath must name a listening "
                       "AF_UNIX stream socket"));
  };
  const auto connection = connect_to(plan.listener_path);
  if (!connection) return explained(connection.error());
  if (const auto sent = send_with_descriptor(connection->get(), text, listener.get()); !sent)
    return explained(sent.error());
  return {};
}

}  // namespace bulkhead::isolation
