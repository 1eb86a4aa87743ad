#include "supervise/journal_log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <span>
#include <utility>

#include "sys/file.h"

namespace bulkhead::supervise {
namespace {

constexpr int kPatienceMilliseconds = 10'000;

std::int64_t milliseconds() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

SysResult<Fd> connect_to(const char* path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof address.sun_path) return sys_fail_with(ENAMETOOLONG, "connect");
  std::strcpy(address.sun_path, path);
  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return sys_fail("socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sys_fail("connect", kJournalSocket);
  return socket;
}

// As a memory file that nobody can change any more: the way for what is larger than a packet.
bool send_as_file(int socket, std::span<const iovec> parts) noexcept {
  const Fd file(::memfd_create("journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return false;
  for (const iovec& part : parts)
    if (!write_all(file.get(), part.iov_base, part.iov_len)) return false;
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (::fcntl(file.get(), F_ADD_SEALS, kSeals) != 0) return false;
  union {
    cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control{};
  msghdr message{};
  message.msg_control = control.space;
  message.msg_controllen = sizeof control.space;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int number = file.get();
  std::memcpy(CMSG_DATA(header), &number, sizeof number);
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
}

}  // namespace

SysResult<void> check_journal(const char* path) noexcept {
  TRY(connect_to(path));
  return {};
}

bool JournalLog::connect() noexcept {
  if (socket_) return true;
  auto socket = connect_to(path_);
  if (socket) socket_ = *std::move(socket);
  return static_cast<bool>(socket_);
}

bool JournalLog::send(std::string_view line, bool error, bool partial) noexcept {
  // MESSAGE in the form that takes any byte: its name, a newline, 64 bits of size, the bytes.
  std::array<char, 64> head{};
  int size = std::snprintf(head.data(), head.size(), "PRIORITY=%d\n%sMESSAGE\n", error ? 3 : 6,
                           partial ? "CONTAINER_PARTIAL_MESSAGE=true\n" : "");
  for (std::size_t i = 0, rest = line.size(); i < 8; ++i, rest >>= 8)
    head[static_cast<std::size_t>(size++)] = static_cast<char>(rest & 0xFF);
  char newline = '\n';
  std::array<iovec, 4> parts{{{const_cast<char*>(fields_.data()), fields_.size()},
                              {head.data(), static_cast<std::size_t>(size)},
                              {const_cast<char*>(line.data()), line.size()},
                              {&newline, 1}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  // Where lines are lost already, nobody waits for a journal that hangs.
  const std::int64_t deadline = lost_bytes_ == 0 ? milliseconds() + kPatienceMilliseconds : 0;
  for (bool again = true;;) {
    if (!connect()) return false;
    if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) >= 0) return true;
    if (errno == EINTR) continue;
    if (errno == EMSGSIZE) return send_as_file(socket_.get(), parts);
    if (errno == EAGAIN || errno == ENOBUFS) {
      if (milliseconds() >= deadline) return false;
      struct pollfd item{socket_.get(), POLLOUT, 0};
      (void)::poll(&item, 1, 50);
      continue;
    }
    // Restarted: its socket is another one now.
    socket_.reset();
    if (!std::exchange(again, false)) return false;
  }
}

void JournalLog::report_loss() noexcept {
  std::array<char, 96> text{};
  const int size =
      std::snprintf(text.data(), text.size(), "bulkhead: %llu bytes of this log were lost",
                    static_cast<unsigned long long>(lost_bytes_));
  if (send({text.data(), static_cast<std::size_t>(size)}, true, false)) lost_bytes_ = 0;
}

void JournalLog::add(std::string_view line, std::string_view stream, const timespec&) noexcept {
  if (lost_bytes_ != 0) report_loss();
  const bool whole = line.ends_with('\n');
  const std::string_view text = whole ? line.substr(0, line.size() - 1) : line;
  if (lost_bytes_ != 0 || !send(text, stream == "stderr", !whole)) lost_bytes_ += line.size();
}

}  // namespace bulkhead::supervise
