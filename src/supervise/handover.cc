#include "supervise/handover.h"

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <type_traits>

#include "base/text.h"

namespace bulkhead::supervise {
namespace {

static_assert(std::is_trivially_copyable_v<Settings>);

// What crosses beside the descriptors.
struct Letter {
  Settings settings;
  std::int32_t init = 0;
  bool has_error = false;
  bool has_input = false;
  bool has_output = false;
  bool adopted = false;
  std::uint32_t restarts = 0;
  bool has_oom_notice = false;
  bool has_oom_counter = false;
};

constexpr std::size_t kMostDescriptors = 7;
constexpr std::size_t kMostReport = 32 * 1024;

union Control {
  cmsghdr header;
  char space[CMSG_SPACE(kMostDescriptors * sizeof(int))];
};

enum class Report : char { kWarning = 'w', kError = 'e', kStarted = 's' };

void send_report(int socket, Report kind, std::string_view text, ErrorKind error = {}) {
  if (socket < 0) return;
  std::string packet;
  packet += static_cast<char>(kind);
  packet += static_cast<char>(error);
  packet += text.substr(0, kMostReport - 2);
  (void)::send(socket, packet.data(), packet.size(), MSG_NOSIGNAL);
}

}  // namespace

Result<void> Handover::give(const Launched& launched) const {
  Letter letter;
  letter.settings = launched.settings;
  letter.init = launched.init.pid().value();
  letter.has_error = static_cast<bool>(launched.error);
  letter.has_input = static_cast<bool>(launched.input);
  letter.has_output = static_cast<bool>(launched.output);
  letter.adopted = launched.adopted;
  letter.restarts = launched.restarts;
  letter.has_oom_notice = static_cast<bool>(launched.oom.notice());
  letter.has_oom_counter = static_cast<bool>(launched.oom.counter());
  std::array<int, kMostDescriptors> numbers{};
  std::size_t count = 0;
  for (const int fd :
       {launched.init.get(), launched.directory.get(), launched.output.get(), launched.error.get(),
        launched.input.get(), launched.oom.notice().get(), launched.oom.counter().get()})
    if (fd >= 0) numbers[count++] = fd;
  Control control{};
  iovec part{&letter, sizeof letter};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.space;
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(count * sizeof(int));
  std::memcpy(CMSG_DATA(header), numbers.data(), count * sizeof(int));
  if (::sendmsg(monitor_.get(), &message, MSG_NOSIGNAL) < 0)
    return std::unexpected(Error(SysError{"sendmsg", errno}).within("reaching the monitor"));
  char answer = 0;
  ssize_t size = 0;
  do size = ::recv(monitor_.get(), &answer, 1, 0);
  while (size < 0 && errno == EINTR);
  if (size != 1)
    return fail(ErrorKind::kSystem, "the container's monitor died before it could stand by it",
                "something ended it, perhaps for want of memory: try again");
  return {};
}

void Handover::warn(std::string_view text) const {
  send_report(command_.get(), Report::kWarning, text);
}

void Handover::report_error(const Error& error) const {
  std::string text = error.message();
  text += '\0';
  text += error.hint();
  send_report(command_.get(), Report::kError, text, error.kind());
}

void Handover::report_started() const { send_report(command_.get(), Report::kStarted, {}); }

SysResult<bool> receive_launched(int launcher, Launched& launched) noexcept {
  Letter letter;
  Control control{};
  iovec part{&letter, sizeof letter};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.space;
  message.msg_controllen = sizeof control.space;
  const ssize_t size = ::recvmsg(launcher, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (size < 0) return sys_fail("recvmsg");
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (size != sizeof letter || header == nullptr || header->cmsg_type != SCM_RIGHTS) return false;
  std::array<int, kMostDescriptors> numbers{};
  const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  std::memcpy(numbers.data(), CMSG_DATA(header), count * sizeof(int));
  std::size_t next = 0;
  launched.settings = letter.settings;
  launched.init = PidFd(Fd(numbers[next++]), HostPid(letter.init));
  launched.directory = Fd(numbers[next++]);
  launched.adopted = letter.adopted;
  launched.restarts = letter.restarts;
  if (letter.has_output) launched.output = Fd(numbers[next++]);
  if (letter.has_error) launched.error = Fd(numbers[next++]);
  if (letter.has_input) launched.input = Fd(numbers[next++]);
  Fd notice;
  if (letter.has_oom_notice) notice = Fd(numbers[next++]);
  if (letter.has_oom_counter) launched.oom = OomNotice(std::move(notice), Fd(numbers[next++]));
  return true;
}

SysResult<void> acknowledge(int launcher) noexcept {
  if (::send(launcher, "", 1, MSG_NOSIGNAL) != 1) return sys_fail("send");
  return {};
}

Result<void> wait_for_launcher(int launcher, const Warn& warn) {
  std::string packet(kMostReport, '\0');
  for (;;) {
    const ssize_t size = ::recv(launcher, packet.data(), packet.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 2)
      return fail(
          ErrorKind::kSystem, "the process that was to start the container has died",
          "what it had made is cleared away; something ended it, perhaps for want of memory");
    const std::string_view text(packet.data() + 2, static_cast<std::size_t>(size) - 2);
    switch (static_cast<Report>(packet[0])) {
      case Report::kWarning: warn(std::string(text)); break;
      case Report::kStarted: return {};
      case Report::kError: {
        std::string_view hint = text;
        const std::string_view message = next_field(hint, '\0');
        return fail(static_cast<ErrorKind>(packet[1]), std::string(message), std::string(hint));
      }
    }
  }
}

}  // namespace bulkhead::supervise
