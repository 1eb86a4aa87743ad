// A container, its user and whoever takes its output, each in any order and at any pace: what the terminal
// gives arrives as it was, what is typed arrives as it was, nothing spins, and the end of any of the
// three is survived. And the message that hands a terminal over.
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include "runtime/console_socket.h"
#include "runtime/terminal_pump.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::runtime;

constexpr std::size_t kMostSaid = 48 * 1024;  // what a pipe holds is 64 KiB
constexpr char kEndOfInput = 4;

std::string read_some(int fd, std::size_t most) {
  std::string text(most, '\0');
  const ssize_t count = ::read(fd, text.data(), text.size());
  text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return text;
}

// All that the terminal can do for now.
void pump_until_idle(TerminalPump& pump) {
  for (int round = 0; round < 500; ++round) {
    std::array<struct pollfd, TerminalPump::kPollItems> items;
    pump.prepare(items);
    if (::poll(items.data(), items.size(), 0) <= 0) return;
    pump.serve(items);
  }
  std::abort();  // ready for ever, and nothing comes of it
}

struct World {
  Fd container;
  Fd typing;
  Fd reading;
  std::string said, typed, shown, heard;

  void container_says(std::string_view text) {
    if (!container || said.size() + text.size() > kMostSaid) return;
    const ssize_t count =
        ::send(container.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) said += text.substr(0, static_cast<std::size_t>(count));
  }
  void user_types(std::string_view text) {
    if (!typing || typed.size() + text.size() > kMostSaid) return;
    if (::write(typing.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()))
      typed += text;
  }
  void check(bool all_shown) const {
    const std::string_view wanted = said;
    if (all_shown ? shown != wanted : !wanted.starts_with(shown)) std::abort();
    std::string_view own = heard;
    if (!typing && own.size() == typed.size() + 1 && own.back() == kEndOfInput)
      own.remove_suffix(1);
    if (!std::string_view(typed).starts_with(own)) std::abort();
  }
};

void check_handover(std::string_view name) {
  if (name.empty()) return;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  const Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  if (!send_descriptor(ours.get(), theirs.get(), name)) std::abort();
  char text[512];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)];
  struct iovec part{text, sizeof text};
  struct msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(theirs.get(), &header, MSG_CMSG_CLOEXEC);
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (size != static_cast<ssize_t>(name.size()) || std::memcmp(text, name.data(), name.size()) != 0)
    std::abort();
  if (rights == nullptr || rights->cmsg_len != CMSG_LEN(sizeof(int))) std::abort();
  int number = -1;
  std::memcpy(&number, CMSG_DATA(rights), sizeof number);
  ::close(number);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::signal(SIGPIPE, SIG_IGN);
  int pair[2];
  int input[2];
  int output[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 ||
      ::pipe2(input, O_CLOEXEC) != 0 || ::pipe2(output, O_CLOEXEC) != 0)
    std::abort();
  const Fd our_input(input[0]);
  const Fd our_output(output[1]);
  TerminalPump pump(Fd(pair[0]), input[0], output[1]);
  World world{Fd(pair[1]), Fd(input[1]), Fd(output[0]), {}, {}, {}, {}};
  if (::fcntl(output[0], F_SETFL, O_NONBLOCK) != 0 || ::fcntl(pair[1], F_SETFL, O_NONBLOCK) != 0)
    std::abort();
  bool complete = true;  // somebody takes the output to the end

  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (rest.size() >= 2) {
    const auto step = static_cast<unsigned char>(rest[0]);
    const std::size_t amount = static_cast<unsigned char>(rest[1]);
    rest.remove_prefix(2);
    std::string text(rest.substr(0, amount));
    if ((step & 0x80) != 0)  // a flood
      for (int i = 0; i < 5 && !text.empty() && text.size() < 8192; ++i) text += text;
    switch (step & 7) {
      case 0:
        rest.remove_prefix(std::min(amount, rest.size()));
        world.container_says(text);
        break;
      case 1:
        rest.remove_prefix(std::min(amount, rest.size()));
        world.user_types(text);
        break;
      case 2:
        if (world.reading) world.shown += read_some(world.reading.get(), amount * 64 + 1);
        break;
      case 3:
        if (world.container) world.heard += read_some(world.container.get(), amount * 64 + 1);
        break;
      case 4: world.typing.reset(); break;
      case 5:
        if ((step & 0x40) != 0) world.container.reset();
        break;
      case 6:
        if ((step & 0x40) != 0) world.reading.reset(), complete = false;
        break;
      default: check_handover(rest.substr(0, amount)); break;
    }
    pump_until_idle(pump);
    world.check(false);
  }
  world.container.reset();
  if (world.reading)
    while (!world.said.starts_with(world.shown) || world.shown.size() < world.said.size()) {
      pump_until_idle(pump);
      const std::string more = read_some(world.reading.get(), 65536);
      if (more.empty()) break;
      world.shown += more;
    }
  pump.drain();
  if (pump.open()) std::abort();
  if (world.reading)
    for (std::string more; !(more = read_some(world.reading.get(), 65536)).empty();)
      world.shown += more;
  world.check(complete);
  return 0;
}
