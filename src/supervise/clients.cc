#include "supervise/clients.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace bulkhead::supervise {
namespace {

constexpr std::int64_t kPatienceMilliseconds = 10'000;
constexpr int kMomentMilliseconds = 1000;

// By way of /proc/self/fd: the path itself may be longer than a socket address holds.
sockaddr_un address_in(int directory, std::string_view name) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  constexpr std::string_view kPrefix = "/proc/self/fd/";
  char* at = std::copy(kPrefix.begin(), kPrefix.end(), address.sun_path);
  at = std::to_chars(at, at + 12, directory).ptr;
  *at++ = '/';
  name.copy(at, static_cast<std::size_t>(address.sun_path + sizeof address.sun_path - 1 - at));
  return address;
}

// Root, or the user whose containers these are.
bool may_speak(int socket) noexcept {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == ::geteuid());
}

}  // namespace

SysResult<void> Clients::listen(int directory, std::string_view name) noexcept {
  listener_ = Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_) return sys_fail("socket");
  const sockaddr_un address = address_in(directory, name);
  if (::unlink(address.sun_path) != 0 && errno != ENOENT) return sys_fail("unlink");
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sys_fail("bind", "the monitor's socket");
  if (::listen(listener_.get(), 16) != 0) return sys_fail("listen");
  return {};
}

void Clients::stop_listening() noexcept { listener_.reset(); }

void Clients::adopt(Fd socket, std::uint8_t streams) noexcept {
  clients_[0].socket = std::move(socket);
  clients_[0].streams = streams;
  clients_[0].welcome = true;
}

std::size_t Clients::prepare(std::span<struct pollfd> items, bool takes_input) const noexcept {
  items[0] = {listener_ ? listener_.get() : -1, POLLIN, 0};
  for (std::size_t i = 0; i < kMost; ++i) {
    const Client& client = clients_[i];
    short events = 0;
    if (takes_input || (client.streams & kStreamInput) == 0) events |= POLLIN;
    if (client.owes) events |= POLLOUT;
    items[i + 1] = {client.socket ? client.socket.get() : -1, events, 0};
  }
  return kMost + 1;
}

void Clients::serve(std::span<const struct pollfd> items, Requests& requests) noexcept {
  for (std::size_t i = 0; i < kMost; ++i) {
    Client& client = clients_[i];
    const short events = items[i + 1].revents;
    if (!client.socket || events == 0) continue;
    if ((events & POLLIN) != 0)
      handle(client, requests);
    else if ((events & (POLLHUP | POLLERR)) != 0)
      drop(client);
  }
  if (items[0].revents != 0) accept();
}

void Clients::accept() noexcept {
  for (std::size_t i = 0; i < kMost; ++i) {
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    if (!may_speak(socket.get())) continue;
    const auto free = std::ranges::find_if(clients_, [](const Client& c) { return !c.socket; });
    if (free != clients_.end()) free->socket = std::move(socket);
  }
}

void Clients::answer(Client& client, std::span<const char> packet) noexcept {
  if (::send(client.socket.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    drop(client);
}

void Clients::handle(Client& client, Requests& requests) noexcept {
  std::array<char, kMostPacket> buffer;
  const ssize_t size = ::recv(client.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    if ((client.streams & kStreamInput) != 0) requests.input_ended();
    return drop(client);
  }
  const std::span<const char> packet(buffer.data(), static_cast<std::size_t>(size));
  if (!client.welcome) {
    const auto hello = read_hello(packet);
    const auto version = hello ? choose_version(*hello) : std::nullopt;
    if (!version)
      return answer(client, PacketWriter(PacketType::kRefused)
                                .text("this monitor speaks version 1 of its protocol alone")
                                .bytes());
    client.welcome = true;
    return answer(client, PacketWriter(PacketType::kWelcome)
                              .number(kMagic)
                              .number(*version)
                              .number(static_cast<std::int32_t>(::getpid()))
                              .text(id_)
                              .bytes());
  }
  PacketReader reader(packet);
  const auto type = static_cast<PacketType>(*reader.number<std::uint8_t>());
  const PacketWriter done(PacketType::kDone);
  switch (type) {
    case PacketType::kAttach: {
      client.streams = reader.number<std::uint8_t>().value_or(0);
      const auto rows = reader.number<std::uint16_t>().value_or(0);
      const auto columns = reader.number<std::uint16_t>().value_or(0);
      if (rows != 0) requests.resize(rows, columns);
      return answer(client, PacketWriter(PacketType::kDone)
                                .number(static_cast<std::uint8_t>(requests.is_terminal()))
                                .bytes());
    }
    case PacketType::kInput:
      if ((client.streams & kStreamInput) != 0)
        requests.input({reader.rest().data(), reader.rest().size()});
      return;
    case PacketType::kInputEnd:
      if ((client.streams & kStreamInput) != 0) requests.input_ended();
      client.streams &= static_cast<std::uint8_t>(~kStreamInput);
      return;
    case PacketType::kResize: {
      const auto rows = reader.number<std::uint16_t>();
      const auto columns = reader.number<std::uint16_t>();
      if (rows && columns) requests.resize(*rows, *columns);
      return;
    }
    case PacketType::kStopping: requests.stopping(); return answer(client, done.bytes());
    case PacketType::kRestart: {
      const auto kind = reader.number<std::uint8_t>();
      const auto most = reader.number<std::uint32_t>();
      if (!kind || !most || *kind > static_cast<std::uint8_t>(RestartKind::kUnlessStopped)) break;
      requests.restart_policy({static_cast<RestartKind>(*kind), *most});
      return answer(client, done.bytes());
    }
    case PacketType::kWait: client.waits = true; return;
    default: break;
  }
  answer(client,
         PacketWriter(PacketType::kRefused).text("this monitor does not know that").bytes());
}

bool Clients::send_output(Client& client) noexcept {
  std::array<char, 2> head{static_cast<char>(PacketType::kOutput), static_cast<char>(stream_)};
  std::array<iovec, 2> parts{
      {{head.data(), head.size()}, {const_cast<char*>(bytes_.data()), bytes_.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (::sendmsg(client.socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
  if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) return false;
  drop(client);
  return true;
}

bool Clients::output(std::uint8_t stream, std::span<const char> bytes, std::int64_t now) noexcept {
  stream_ = stream;
  bytes_ = bytes;
  owed_since_ = now;
  bool all = true;
  for (Client& client : clients_) {
    if (!client.socket || (client.streams & stream) == 0) continue;
    client.owes = !send_output(client);
    all = all && !client.owes;
  }
  return all;
}

bool Clients::deliver(std::int64_t now) noexcept {
  const bool patient = now - owed_since_ < kPatienceMilliseconds;
  bool all = true;
  for (Client& client : clients_) {
    if (!client.socket || !client.owes) continue;
    client.owes = !send_output(client);
    if (client.owes && !patient) drop(client);
    all = all && !client.owes;
  }
  return all;
}

bool Clients::any_attached() const noexcept {
  return std::ranges::any_of(
      clients_, [](const Client& c) { return c.socket && (c.streams & ~kStreamInput) != 0; });
}

void Clients::ended(std::uint8_t flags, int code, int signal) noexcept {
  const PacketWriter packet = PacketWriter(PacketType::kEnded)
                                  .number(flags)
                                  .number(static_cast<std::int32_t>(code))
                                  .number(static_cast<std::int32_t>(signal));
  for (Client& client : clients_) {
    if (!client.socket || (!client.waits && client.streams == 0)) continue;
    client.waits = false;
    // Whoever was busy with the output so far gets a moment: this is what he has waited for.
    struct pollfd item{client.socket.get(), POLLOUT, 0};
    (void)::poll(&item, 1, kMomentMilliseconds);
    answer(client, packet.bytes());
  }
}

}  // namespace bulkhead::supervise
