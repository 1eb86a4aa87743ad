#include "runtime/supervise.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "runtime/terminal_pump.h"
#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

// A pair of terminal ends; raw, so that bytes pass as they are.
struct Terminal {
  Fd master;
  Fd slave;
  Terminal() : master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    ::unlockpt(master.get());
    char name[64];
    ::ptsname_r(master.get(), name, sizeof name);
    slave = Fd(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios mode{};
    ::tcgetattr(slave.get(), &mode);
    ::cfmakeraw(&mode);
    ::tcsetattr(slave.get(), TCSANOW, &mode);
  }
};

struct Pipe {
  Fd reading;
  Fd writing;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) == 0) reading = Fd(ends[0]), writing = Fd(ends[1]);
  }
};

void turn(TerminalPump& pump, int times = 4) {
  for (int i = 0; i < times; ++i) {
    std::array<struct pollfd, TerminalPump::kPollItems> items;
    pump.prepare(items);
    ::poll(items.data(), items.size(), 20);
    pump.serve(items);
  }
}

std::string available(int fd) {
  std::string text(65536, '\0');
  struct pollfd item{fd, POLLIN, 0};
  if (::poll(&item, 1, 1000) != 1) return {};
  const ssize_t size = ::read(fd, text.data(), text.size());
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

template <class Body>
PidFd start_child(const SignalRelay& signals, Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::sigprocmask(SIG_SETMASK, &signals.original(), nullptr);
    ::_exit(body());
  }
  return *PidFd::open(HostPid(pid));
}

TEST(Supervise, GivesTheExitCodeOrTheSignal) {
  const auto signals = SignalRelay::start();
  ASSERT_TRUE(signals);
  EXPECT_EQ(supervise_foreground(start_child(*signals, [] { return 7; }), *signals, Fd())->code, 7);
  const auto killed =
      supervise_foreground(start_child(*signals, [] { return ::raise(SIGKILL); }), *signals, Fd());
  EXPECT_EQ(killed->signal, SIGKILL);
  EXPECT_EQ(killed->shell_code(), 137);
}

TEST(Supervise, PassesSignalsOnAlsoThoseThatCameBeforeTheLoop) {
  const auto signals = SignalRelay::start();
  ASSERT_TRUE(signals);
  const PidFd child = start_child(*signals, [] {
    for (;;) ::pause();
    return 0;
  });
  ::raise(SIGTERM);
  const auto ended = supervise_foreground(child, *signals, Fd());
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->signal, SIGTERM);
}

TEST(Supervise, PutsTheSignalMaskBack) {
  sigset_t before;
  sigset_t after;
  ::sigprocmask(SIG_SETMASK, nullptr, &before);
  {
    EXPECT_TRUE(SignalRelay::start());
  }
  ::sigprocmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(::sigismember(&before, SIGTERM), ::sigismember(&after, SIGTERM));
}

TEST(TerminalPump, CarriesBytesBothWays) {
  Terminal terminal;
  Pipe input;
  Pipe output;
  TerminalPump pump(std::move(terminal.master), input.reading.get(), output.writing.get());
  ASSERT_EQ(::write(input.writing.get(), "hello", 5), 5);
  ASSERT_EQ(::write(terminal.slave.get(), "world", 5), 5);
  turn(pump);
  EXPECT_EQ(available(terminal.slave.get()), "hello");
  EXPECT_EQ(available(output.reading.get()), "world");
}

TEST(TerminalPump, TellsTheContainerThatTheInputHasEnded) {
  Terminal terminal;
  Pipe input;
  Pipe output;
  TerminalPump pump(std::move(terminal.master), input.reading.get(), output.writing.get());
  input.writing.reset();
  turn(pump);
  EXPECT_EQ(available(terminal.slave.get()), "\x04");
}

TEST(TerminalPump, DeliversWhatTheProcessWroteLast) {
  Terminal terminal;
  Pipe input;
  Pipe output;
  TerminalPump pump(std::move(terminal.master), input.reading.get(), output.writing.get());
  ASSERT_EQ(::write(terminal.slave.get(), "last words", 10), 10);
  terminal.slave.reset();
  pump.drain();
  EXPECT_EQ(available(output.reading.get()), "last words");
}

TEST(TerminalPump, GoesOnWhenNobodyReadsTheOutput) {
  ::signal(SIGPIPE, SIG_IGN);
  Terminal terminal;
  Pipe input;
  Pipe output;
  output.reading.reset();
  TerminalPump pump(std::move(terminal.master), input.reading.get(), output.writing.get());
  ASSERT_EQ(::write(terminal.slave.get(), "lost", 4), 4);
  turn(pump);
  ASSERT_EQ(::write(input.writing.get(), "heard", 5), 5);
  turn(pump);
  EXPECT_EQ(available(terminal.slave.get()), "heard");
}

TEST(TerminalPump, CopiesTheSizeOfOurTerminal) {
  Terminal ours;
  Terminal theirs;
  Pipe output;
  struct winsize size{};
  size.ws_row = 33;
  size.ws_col = 111;
  ASSERT_EQ(::ioctl(ours.master.get(), TIOCSWINSZ, &size), 0);
  const TerminalPump pump(std::move(theirs.master), ours.slave.get(), output.writing.get());
  struct winsize seen{};
  ASSERT_EQ(::ioctl(theirs.slave.get(), TIOCGWINSZ, &seen), 0);
  EXPECT_EQ(seen.ws_row, 33);
  EXPECT_EQ(seen.ws_col, 111);
}

TEST(RawTerminal, IsPutBackAsItWas) {
  Terminal terminal;
  termios cooked{};
  ::tcgetattr(terminal.slave.get(), &cooked);
  cooked.c_lflag |= ICANON | ECHO;
  ::tcsetattr(terminal.slave.get(), TCSANOW, &cooked);
  termios seen{};
  {
    const auto raw = RawTerminal::enter(terminal.slave.get());
    ASSERT_TRUE(raw);
    ::tcgetattr(terminal.slave.get(), &seen);
    EXPECT_EQ(seen.c_lflag & (ICANON | ECHO), 0U);
  }
  ::tcgetattr(terminal.slave.get(), &seen);
  EXPECT_EQ(seen.c_lflag & (ICANON | ECHO), static_cast<tcflag_t>(ICANON | ECHO));
  Pipe pipe;
  EXPECT_FALSE(RawTerminal::enter(pipe.reading.get()));
}

}  // namespace
}  // namespace bulkhead::runtime
