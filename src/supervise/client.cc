#include "supervise/client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <charconv>
#include <cstring>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::supervise {
namespace {

Result<std::span<const char>> receive(int socket, std::span<char> buffer) {
  for (;;) {
    const ssize_t size = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (size >= 0) return std::span<const char>(buffer.first(static_cast<std::size_t>(size)));
    if (errno == ECONNRESET) return std::span<const char>();
    if (errno != EINTR) return std::unexpected(Error(SysError{"recv", errno}));
  }
}

SysResult<void> send_packet(int socket, std::span<const char> packet) {
  while (::send(socket, packet.data(), packet.size(), MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return sys_fail("send");
  return {};
}

std::optional<EndNotice> read_notice(std::span<const char> packet) {
  PacketReader reader(packet);
  if (reader.number<std::uint8_t>() != static_cast<std::uint8_t>(PacketType::kEnded))
    return std::nullopt;
  const auto flags = reader.number<std::uint8_t>();
  const auto code = reader.number<std::int32_t>();
  const auto signal = reader.number<std::int32_t>();
  if (!flags || !code || !signal) return std::nullopt;
  return EndNotice{(*flags & kEndedForGood) != 0, (*flags & kEndedTimedOut) != 0, *code, *signal};
}

}  // namespace

Result<std::optional<MonitorClient>> MonitorClient::connect(const std::string& socket_directory,
                                                            std::string_view id) {
  const auto directory = open_at(AT_FDCWD, socket_directory.c_str(), O_RDONLY | O_DIRECTORY);
  if (!directory && directory.error().error == ENOENT) return std::nullopt;
  if (!directory) return std::unexpected(Error(directory.error()));
  // The path itself may be longer than a socket address holds.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  constexpr std::string_view kPrefix = "/proc/self/fd/";
  char* at = std::copy(kPrefix.begin(), kPrefix.end(), address.sun_path);
  at = std::to_chars(at, at + 12, directory->get()).ptr;
  *at++ = '/';
  id.copy(at, static_cast<std::size_t>(address.sun_path + sizeof address.sun_path - 1 - at));
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return std::unexpected(Error(SysError{"socket", errno}));
  while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
         0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::nullopt;
    if (errno != EINTR)
      return std::unexpected(Error(SysError{"connect", errno}).within("reaching the monitor"));
  }
  MonitorClient client(std::move(socket));
  auto greeted = client.greet(id);
  // It has just gone: as if it had not been there.
  if (!greeted && greeted.error().kind() == ErrorKind::kNotFound) return std::nullopt;
  if (!greeted) return std::unexpected(std::move(greeted).error());
  return client;
}

MonitorClient MonitorClient::of_pair(Fd socket) { return MonitorClient(std::move(socket)); }

Result<void> MonitorClient::greet(std::string_view id) {
  std::array<char, kMostPacket> buffer;
  const auto gone = [] { return fail(ErrorKind::kNotFound, "the container's monitor has gone"); };
  if (!send_packet(socket_.get(), PacketWriter(PacketType::kHello)
                                      .number(kMagic)
                                      .number(kLowestVersion)
                                      .number(kHighestVersion)
                                      .bytes()))
    return gone();
  TRY_ASSIGN(const std::span<const char> answer, receive(socket_.get(), buffer));
  if (answer.empty()) return gone();
  const auto welcome = read_welcome(answer);
  if (!welcome) {
    PacketReader reader(answer);
    (void)reader.number<std::uint8_t>();
    return fail(ErrorKind::kUnsupported,
                "the container's monitor refuses us: " + quoted(reader.rest()),
                "it is of another version of bulkhead: use that one, or restart the container");
  }
  if (welcome->id != id)
    return fail(ErrorKind::kInvalid, "the monitor is that of another container");
  version_ = welcome->version;
  pid_ = welcome->pid;
  return {};
}

Result<std::span<const char>> MonitorClient::request(std::span<const char> packet,
                                                     std::span<char> answer) {
  if (const auto sent = send_packet(socket_.get(), packet); !sent)
    return std::unexpected(Error(sent.error()).within("reaching the monitor"));
  TRY_ASSIGN(const std::span<const char> received, receive(socket_.get(), answer));
  PacketReader reader(received);
  const auto type = reader.number<std::uint8_t>();
  if (!type) return fail(ErrorKind::kState, "the container's monitor has just ended");
  if (*type == static_cast<std::uint8_t>(PacketType::kRefused))
    return fail(ErrorKind::kUnsupported,
                "the container's monitor refuses: " + quoted(reader.rest()),
                "it may be of an older version of bulkhead: restart the container");
  if (*type != static_cast<std::uint8_t>(PacketType::kDone))
    return fail(ErrorKind::kInternal, "the container's monitor gave an answer to something else");
  return received;
}

Result<void> MonitorClient::stopping() {
  std::array<char, 256> answer;
  TRY(request(PacketWriter(PacketType::kStopping).bytes(), answer));
  return {};
}

Result<void> MonitorClient::set_restart(const RestartPolicy& policy) {
  std::array<char, 256> answer;
  TRY(request(PacketWriter(PacketType::kRestart)
                  .number(static_cast<std::uint8_t>(policy.kind))
                  .number(policy.most)
                  .bytes(),
              answer));
  return {};
}

Result<bool> MonitorClient::attach(std::uint8_t streams, std::uint16_t rows,
                                   std::uint16_t columns) {
  std::array<char, 256> answer;
  TRY_ASSIGN(
      const std::span<const char> received,
      request(
          PacketWriter(PacketType::kAttach).number(streams).number(rows).number(columns).bytes(),
          answer));
  return received.size() > 1 && received[1] != 0;
}

Result<void> MonitorClient::ask_for_end() {
  if (const auto sent = send_packet(socket_.get(), PacketWriter(PacketType::kWait).bytes()); !sent)
    return std::unexpected(Error(sent.error()).within("reaching the monitor"));
  return {};
}

Result<std::optional<EndNotice>> MonitorClient::read_end() {
  std::array<char, kMostPacket> buffer;
  for (;;) {
    TRY_ASSIGN(const std::span<const char> packet, receive(socket_.get(), buffer));
    if (packet.empty()) return std::nullopt;
    if (const auto notice = read_notice(packet)) return notice;
  }
}

Result<std::optional<MonitorClient::Event>> MonitorClient::next(std::span<char> buffer) {
  TRY_ASSIGN(const std::span<const char> packet, receive(socket_.get(), buffer));
  if (packet.empty()) return std::nullopt;
  Event event;
  event.end = read_notice(packet);
  if (packet[0] == static_cast<char>(PacketType::kOutput) && packet.size() > 2) {
    event.stream = static_cast<std::uint8_t>(packet[1]);
    event.bytes = packet.subspan(2);
  }
  return event;
}

SysResult<void> MonitorClient::send_input(std::span<const char> bytes) {
  std::array<char, kMostBytes + 1> packet;
  packet[0] = static_cast<char>(PacketType::kInput);
  const std::size_t size = std::min(bytes.size(), kMostBytes);
  std::memcpy(packet.data() + 1, bytes.data(), size);
  // Without waiting: the monitor may be waiting for us to take output.
  if (::send(socket_.get(), packet.data(), size + 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    return sys_fail("send");
  return {};
}

SysResult<void> MonitorClient::end_input() {
  return send_packet(socket_.get(), PacketWriter(PacketType::kInputEnd).bytes());
}

SysResult<void> MonitorClient::resize(std::uint16_t rows, std::uint16_t columns) {
  return send_packet(socket_.get(),
                     PacketWriter(PacketType::kResize).number(rows).number(columns).bytes());
}

}  // namespace bulkhead::supervise
