#include "sys/dbus.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace bulkhead {
namespace {

// As libdbus and sd-bus have it. systemd answers within milliseconds unless it is reloading.
constexpr int kPatienceMilliseconds = 25'000;
constexpr std::size_t kMostSignals = 4096;

Result<void> send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return std::unexpected(Error(SysError{"send", errno, "D-Bus"}));
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

}  // namespace

Result<DbusPeer> DbusPeer::connect(const std::string& path) {
  struct sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(ErrorKind::kInvalid, "the socket's path is too long: " + quoted(path));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return std::unexpected(Error(SysError{"socket", errno}));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return std::unexpected(Error(SysError{"connect", errno, path.c_str()}));
  DbusPeer peer(std::move(socket));
  struct ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(peer.socket_.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
    return std::unexpected(Error(SysError{"getsockopt(SO_PEERCRED)", errno, path.c_str()}));
  peer.peer_pid_ = who.pid;
  TRY_WITHIN(path, peer.authenticate());
  return peer;
}

// Without a user id in the first line the other side takes that of the socket's peer, which is right
// from inside a user namespace too.
Result<void> DbusPeer::authenticate() {
  using namespace std::string_view_literals;
  TRY(send_all(socket_.get(), "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"sv));
  for (std::string_view expected : {"DATA"sv, "OK "sv}) {
    std::size_t end = 0;
    while ((end = input_.find("\r\n")) == std::string::npos) TRY(read_more());
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 2);
    if (!line.starts_with(expected))
      return fail(ErrorKind::kPermission, "D-Bus authentication was refused: " + quoted(line));
  }
  return {};
}

Result<void> DbusPeer::read_more() {
  struct pollfd item{socket_.get(), POLLIN, 0};
  const int ready = ::poll(&item, 1, kPatienceMilliseconds);
  if (ready < 0 && errno == EINTR) return {};
  if (ready < 0) return std::unexpected(Error(SysError{"poll", errno, "D-Bus"}));
  if (ready == 0)
    return fail(ErrorKind::kSystem, "D-Bus: no answer within " +
                                        std::to_string(kPatienceMilliseconds / 1000) + " seconds");
  char buffer[8192];
  const ssize_t size = ::recv(socket_.get(), buffer, sizeof buffer, 0);
  if (size < 0 && errno == EINTR) return {};
  if (size < 0) return std::unexpected(Error(SysError{"recv", errno, "D-Bus"}));
  if (size == 0) return fail(ErrorKind::kSystem, "D-Bus: the other side closed the connection");
  input_.append(buffer, static_cast<std::size_t>(size));
  return {};
}

Result<DbusMessage> DbusPeer::receive() {
  while (input_.size() < kDbusFixedHeader) TRY(read_more());
  const auto size = dbus_message_size(input_);
  if (!size) return fail(ErrorKind::kSystem, "D-Bus: the other side sent what is no message");
  while (input_.size() < *size) TRY(read_more());
  auto message = decode_message(std::string_view(input_).substr(0, *size));
  input_.erase(0, *size);
  if (!message) return fail(ErrorKind::kSystem, "D-Bus: the other side sent a malformed message");
  return std::move(*message);
}

Result<DbusMessage> DbusPeer::call(const DbusCall& call, const DbusBody& body,
                                   DbusFailure* failure) {
  const std::uint32_t serial = ++serial_;
  TRY(send_all(socket_.get(), encode_call(call, serial, body)));
  for (;;) {
    TRY_ASSIGN(DbusMessage message, receive());
    if (message.type == DbusMessageType::kSignal && signals_.size() < kMostSignals)
      signals_.push_back(std::move(message));
    if (message.reply_serial != serial) continue;
    if (message.type != DbusMessageType::kError) return message;
    const std::string text(DbusReader(message.body).string().value_or(""));
    if (failure != nullptr) *failure = {message.error_name, text};
    return fail(message.error_name == "org.freedesktop.DBus.Error.AccessDenied"
                    ? ErrorKind::kPermission
                    : ErrorKind::kSystem,
                std::string(call.member) + ": " + (text.empty() ? message.error_name : text));
  }
}

Result<DbusMessage> DbusPeer::wait_for_signal(std::string_view member) {
  for (;;) {
    const auto kept = std::ranges::find(signals_, member, &DbusMessage::member);
    if (kept != signals_.end()) {
      DbusMessage message = std::move(*kept);
      signals_.erase(kept);
      return message;
    }
    TRY_ASSIGN(DbusMessage message, receive());
    if (message.type == DbusMessageType::kSignal) signals_.push_back(std::move(message));
  }
}

}  // namespace bulkhead
