#include "runtime/supervise.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>

#include "runtime/terminal_pump.h"

namespace bulkhead::runtime {
namespace {

// All but those that nobody can catch, those that mean a fault of our own, and SIGCHLD.
sigset_t relayed_signals() {
  sigset_t signals;
  ::sigfillset(&signals);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGCHLD, SIGPIPE,
                        SIGTTIN, SIGTTOU, SIGTSTP, SIGCONT, SIGURG})
    ::sigdelset(&signals, own);
  return signals;
}

// Reads and handles every waiting signal.
void relay(int signals, const PidFd& process, const TerminalPump* terminal, Watch& watch) {
  struct signalfd_siginfo info{};
  while (::read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGWINCH) {
      if (terminal != nullptr && terminal->open()) terminal->copy_size();
      continue;
    }
    if (watch.policy == SignalPolicy::kKeep) {
      if (number != SIGINT && number != SIGTERM && number != SIGHUP && number != SIGQUIT) continue;
      watch.ended_by_signal = number;
      (void)process.send_signal(SIGKILL);
      continue;
    }
    // Fails only when the process has just ended, which poll will tell.
    (void)process.send_signal(number);
  }
}

bool exceeded(const Watch& watch, const std::optional<TerminalPump>& pump) {
  return (watch.output != nullptr && watch.output->exceeded()) ||
         (pump && pump->taken_from_container() > watch.terminal_bytes);
}

Result<Fd> start_timer(int milliseconds) {
  Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  struct itimerspec when{};
  when.it_value = {milliseconds / 1000, milliseconds % 1000 * 1'000'000L};
  if (!timer || ::timerfd_settime(timer.get(), 0, &when, nullptr) != 0)
    return std::unexpected(Error(SysError{"timerfd", errno}));
  return timer;
}

}  // namespace

Result<SignalRelay> SignalRelay::start() {
  SignalRelay relay;
  const sigset_t signals = relayed_signals();
  if (::sigprocmask(SIG_BLOCK, &signals, &relay.original_) != 0)
    return std::unexpected(Error(SysError{"sigprocmask", errno}));
  relay.signals_ = Fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!relay.signals_) {
    const int error = errno;
    ::sigprocmask(SIG_SETMASK, &relay.original_, nullptr);
    return std::unexpected(Error(SysError{"signalfd", error}));
  }
  return relay;
}

SignalRelay::~SignalRelay() {
  if (signals_) ::sigprocmask(SIG_SETMASK, &original_, nullptr);
}

std::optional<RawTerminal> RawTerminal::enter(int fd) {
  termios before{};
  if (::tcgetattr(fd, &before) != 0) return std::nullopt;
  termios raw = before;
  ::cfmakeraw(&raw);
  if (::tcsetattr(fd, TCSANOW, &raw) != 0) return std::nullopt;
  return RawTerminal(fd, before);
}

RawTerminal::RawTerminal(RawTerminal&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), before_(other.before_) {}

RawTerminal::~RawTerminal() {
  if (fd_ >= 0) ::tcsetattr(fd_, TCSANOW, &before_);
}

Result<ExitStatus> supervise_foreground(const PidFd& process, const SignalRelay& signals,
                                        Fd terminal, TimeLimit* limit, const NotifyRelay& notify) {
  Watch watch;
  if (limit != nullptr) watch.time = *limit;
  auto status = supervise_foreground(process, signals, std::move(terminal), watch, notify);
  if (limit != nullptr) *limit = watch.time;
  return status;
}

Result<ExitStatus> supervise_foreground(const PidFd& process, const SignalRelay& signals,
                                        Fd terminal, Watch& watch, const NotifyRelay& notify) {
  const std::optional<RawTerminal> raw = terminal ? RawTerminal::enter() : std::nullopt;
  std::optional<TerminalPump> pump;
  if (terminal)
    pump.emplace(std::move(terminal), STDIN_FILENO, STDOUT_FILENO, watch.terminal_bytes);
  constexpr std::size_t kFirstOfPump = 5;
  constexpr std::size_t kFirstOfOutput = kFirstOfPump + TerminalPump::kPollItems;
  std::array<struct pollfd, TerminalPump::kPollItems> pump_items;
  std::array<struct pollfd, OutputPump::kPollItems> output_items;
  pump_items.fill({-1, 0, 0});
  output_items.fill({-1, 0, 0});
  std::array<struct pollfd, kFirstOfOutput + OutputPump::kPollItems> items{};
  bool ready = !notify;
  Fd timer;
  if (watch.time.milliseconds >= 0) {
    TRY_ASSIGN(timer, start_timer(watch.time.milliseconds));
  }
  for (;;) {
    if (pump) pump->prepare(pump_items);
    if (watch.output != nullptr) watch.output->prepare(output_items);
    items[0] = {process.get(), POLLIN, 0};
    items[1] = {signals.get(), POLLIN, 0};
    items[2] = {timer ? timer.get() : -1, POLLIN, 0};
    items[3] = {ready ? -1 : notify.get(), POLLIN, 0};
    items[4] = {watch.chore != nullptr ? watch.chore->descriptor() : -1, POLLIN, 0};
    std::ranges::copy(pump_items, items.begin() + kFirstOfPump);
    std::ranges::copy(output_items, items.begin() + kFirstOfOutput);
    const int wait = watch.chore != nullptr ? watch.chore->wait_milliseconds() : -1;
    const int happened = ::poll(items.data(), items.size(), wait);
    if (happened < 0) {
      if (errno == EINTR) continue;
      return std::unexpected(Error(SysError{"poll", errno}));
    }
    if (items[1].revents != 0) relay(signals.get(), process, pump ? &*pump : nullptr, watch);
    // A host that does not listen must not end the container: it is asked once.
    if (items[3].revents != 0) ready = notify.serve(process).value_or(true);
    if (items[0].revents != 0) break;
    if (watch.chore != nullptr && (happened == 0 || items[4].revents != 0)) watch.chore->act();
    if (items[2].revents != 0) {
      watch.time.reached = true;
      timer.reset();
      (void)process.send_signal(SIGKILL);
    }
    std::copy_n(items.begin() + kFirstOfPump, pump_items.size(), pump_items.begin());
    std::copy_n(items.begin() + kFirstOfOutput, output_items.size(), output_items.begin());
    if (pump) pump->serve(pump_items);
    if (watch.output != nullptr) watch.output->serve(output_items);
    if (!watch.output_exceeded && exceeded(watch, pump)) {
      watch.output_exceeded = true;
      (void)process.send_signal(SIGKILL);
    }
  }
  if (pump) pump->drain();
  if (watch.output != nullptr) watch.output->drain();
  // Much may have been written at once before the end.
  watch.output_exceeded = watch.output_exceeded || exceeded(watch, pump);
  TRY_ASSIGN(const ExitStatus status, process.wait());
  if (pump && pump->loss())
    return std::unexpected(Error(*pump->loss()).within("the container's output is not complete"));
  return status;
}

}  // namespace bulkhead::runtime
