#include "supervise/monitor.h"

#include <malloc.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <new>
#include <optional>

#include "supervise/clients.h"
#include "supervise/detach.h"
#include "supervise/stream.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::supervise {
namespace {

// Pages that nothing is written to cost nothing.
alignas(4096) char output_room[Stream::kRoom];
alignas(4096) char error_room[Stream::kRoom];
alignas(4096) char input_room[kMostBytes];

constexpr std::size_t kReadMost = 64 * 1024;
constexpr std::int64_t kNever = -1;
// After a flood, memory is given back once nothing has come for so long.
constexpr std::int64_t kQuietMilliseconds = 100;

timespec time_of_day() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

// Goes on while the machine sleeps: a pause or a time limit is the user's, not the processor's.
std::int64_t milliseconds_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

std::int64_t sooner(std::int64_t a, std::int64_t b) noexcept {
  if (a == kNever) return b;
  return b == kNever || a < b ? a : b;
}

class Monitor final : public Requests {
 public:
  Monitor(Work& work, const MonitorPlan& plan) : work_(work), plan_(plan), clients_(plan.id) {}

  // From the fork to the end. `original`: the signal mask for what is forked off.
  [[noreturn]] void run(Fd command, Fd first_client, const sigset_t& original) noexcept;

  bool is_terminal() const override { return settings().terminal; }
  bool takes_input() const override { return input_left_.empty(); }
  void input(std::span<const char> bytes) override;
  void input_ended() override;
  void resize(std::uint16_t rows, std::uint16_t columns) override;
  void stopping() override;
  void restart_policy(const RestartPolicy& policy) override { settings().restart = policy; }

 private:
  enum class Phase { kLaunching, kRunning, kRecording, kPausing, kClearing };

  template <class Task>
  pid_t fork_off(Task task) noexcept;
  void launch(Fd command) noexcept;
  void take_over() noexcept;
  bool open_socket() noexcept;
  void reap() noexcept;
  void launcher_gone(int status) noexcept;
  void container_gone(int status) noexcept;
  void recorded() noexcept;
  [[noreturn]] void leave() noexcept;
  void step() noexcept;
  void pump(Stream& stream) noexcept;
  void drain() noexcept;
  void flush() noexcept;
  void write_input() noexcept;
  void check_deadlines() noexcept;
  bool flooded() const noexcept {
    return output_.flooded() || error_.flooded() || (log_ && log_->flooded());
  }
  Settings& settings() { return container_.settings; }
  const Settings& settings() const { return container_.settings; }
  LogFile* log() { return log_ ? &*log_ : nullptr; }

  Work& work_;
  const MonitorPlan& plan_;
  Clients clients_;
  sigset_t original_{};
  Fd signals_;
  Fd launcher_;  // the socket
  pid_t launcher_pid_ = 0;
  pid_t worker_pid_ = 0;
  Fd socket_directory_;
  bool listening_ = false;
  Phase phase_ = Phase::kLaunching;
  Launched container_;
  Ended ended_;
  bool stopping_ = false;
  std::int64_t started_ = 0;
  std::int64_t deadline_ = kNever;  // of the time limit, or of the pause
  Backoff backoff_;
  Stream output_{"stdout", kStreamOutput, output_room};
  Stream error_{"stderr", kStreamError, error_room};
  std::optional<LogFile> log_;
  bool unflushed_ = false;
  bool owed_ = false;  // a client has not taken the last output yet
  std::span<const char> input_left_;
};

template <class Task>
pid_t Monitor::fork_off(Task task) noexcept {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  (void)::sigprocmask(SIG_SETMASK, &original_, nullptr);
  ::_exit(task() ? 0 : 1);
}

void Monitor::launch(Fd command) noexcept {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) leave();
  launcher_ = Fd(ends[0]);
  Fd other(ends[1]);
  phase_ = Phase::kLaunching;
  launcher_pid_ = fork_off([&] {
    launcher_.reset();
    const Handover handover(std::move(other), std::move(command));
    return work_.launch(handover, ended_.restarts);
  });
  if (launcher_pid_ < 0) leave();
}

bool Monitor::open_socket() noexcept {
  if (listening_) return true;
  if (!make_directories(plan_.socket_directory)) return false;
  auto directory = open_at(AT_FDCWD, plan_.socket_directory.c_str(), O_RDONLY | O_DIRECTORY);
  if (!directory) return false;
  socket_directory_ = *std::move(directory);
  listening_ = clients_.listen(socket_directory_.get(), plan_.id).has_value();
  return listening_;
}

void Monitor::take_over() noexcept {
  Launched launched;
  const auto received = receive_launched(launcher_.get(), launched);
  if (!received || !*received) return launcher_.reset();  // reap() tells why
  // The policy may have been changed since the container's record was read.
  const bool again = phase_ == Phase::kLaunching && ended_.restarts > 0;
  if (again) {
    launched.settings.restart = settings().restart;
    // Ours carries the lock; the launcher has opened its own.
    launched.directory = std::move(container_.directory);
  }
  container_ = std::move(launched);
  if (!open_socket() || !acknowledge(launcher_.get())) {
    // The launcher takes it back.
    container_ = Launched{};
    return launcher_.reset();
  }
  launcher_.reset();
  if (settings().log.driver == LogDriver::kJsonFile)
    log_.emplace(container_.directory.get(), settings().log);
  output_.open(std::move(container_.output));
  error_.open(std::move(container_.error));
  if (container_.input) (void)::fcntl(container_.input.get(), F_SETFL, O_WRONLY | O_NONBLOCK);
  started_ = milliseconds_now();
  deadline_ =
      settings().timeout_milliseconds < 0 ? kNever : started_ + settings().timeout_milliseconds;
  ended_.timed_out = false;
  phase_ = Phase::kRunning;
  if (stopping_) (void)container_.init.send_signal(SIGKILL);
}

void Monitor::reap() noexcept {
  struct signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) > 0) continue;
  // Also orphans of a container without a pid namespace of its own: they are reparented to us.
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    if (pid == launcher_pid_) {
      launcher_gone(status);
    } else if (pid == worker_pid_) {
      worker_pid_ = 0;
      if (phase_ == Phase::kClearing) leave();
      if (phase_ == Phase::kRecording) recorded();
    } else if (phase_ == Phase::kRunning && pid == container_.init.pid().value()) {
      container_gone(status);
    }
  }
}

void Monitor::launcher_gone(int status) noexcept {
  launcher_pid_ = 0;
  if (phase_ != Phase::kLaunching) return;
  // Failed, and said so; or killed, and then something may be left of what it was about.
  if (WIFEXITED(status)) leave();
  phase_ = Phase::kClearing;
  worker_pid_ = fork_off([&] {
    work_.clear_away();
    return true;
  });
  if (worker_pid_ < 0) leave();
}

void Monitor::container_gone(int status) noexcept {
  ended_.exit =
      WIFSIGNALED(status) ? ExitStatus{0, WTERMSIG(status)} : ExitStatus{WEXITSTATUS(status), 0};
  drain();
  ended_.stopped = stopping_ && !ended_.timed_out;
  ended_.starts_again =
      !stopping_ && wants_restart(settings().restart, ended_.exit, ended_.restarts);
  phase_ = Phase::kRecording;
  deadline_ = kNever;
  worker_pid_ = fork_off([&] {
    work_.ended(ended_);
    return true;
  });
  if (worker_pid_ < 0) recorded();
}

void Monitor::recorded() noexcept {
  container_.init = PidFd();
  container_.input.reset();
  input_left_ = {};
  // Who lives in its groups without being of its pid namespace is dead by now, and has said its last.
  drain();
  output_.close();
  error_.close();
  const int code = ended_.exit.shell_code();
  if (!ended_.starts_again) leave();
  clients_.ended(ended_.timed_out ? kEndedTimedOut : std::uint8_t{0}, code, ended_.exit.signal);
  phase_ = Phase::kPausing;
  const std::int64_t now = milliseconds_now();
  deadline_ = now + backoff_.next_milliseconds(now - started_);
  if (stopping_) stopping();
}

void Monitor::leave() noexcept {
  // In this order: whoever sees the end finds the container free for the next command.
  if (listening_) (void)::unlinkat(socket_directory_.get(), plan_.id.c_str(), 0);
  clients_.stop_listening();
  container_.directory.reset();
  const auto flags =
      static_cast<std::uint8_t>(kEndedForGood | (ended_.timed_out ? kEndedTimedOut : 0));
  clients_.ended(flags, ended_.exit.shell_code(), ended_.exit.signal);
  ::_exit(0);
}

void Monitor::input(std::span<const char> bytes) {
  const int target = settings().terminal ? output_.get() : container_.input.get();
  if (target < 0 || bytes.size() > sizeof input_room) return;
  std::copy(bytes.begin(), bytes.end(), input_room);
  input_left_ = std::span(input_room).first(bytes.size());
  write_input();
}

void Monitor::write_input() noexcept {
  const int target = settings().terminal ? output_.get() : container_.input.get();
  while (!input_left_.empty()) {
    const ssize_t count = ::write(target, input_left_.data(), input_left_.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    // Nobody reads it any more.
    input_left_ =
        count < 0 ? std::span<const char>() : input_left_.subspan(static_cast<std::size_t>(count));
  }
}

void Monitor::input_ended() {
  if (settings().stdin_once && !settings().terminal) container_.input.reset();
}

void Monitor::resize(std::uint16_t rows, std::uint16_t columns) {
  if (!settings().terminal || output_.get() < 0) return;
  const winsize size{rows, columns, 0, 0};
  (void)::ioctl(output_.get(), TIOCSWINSZ, &size);
}

void Monitor::stopping() {
  stopping_ = true;
  if (phase_ != Phase::kPausing) return;
  // It was to start again: now its record says that it will not.
  ended_.starts_again = false;
  ended_.stopped = true;
  phase_ = Phase::kRecording;
  deadline_ = kNever;
  worker_pid_ = fork_off([&] {
    work_.ended(ended_);
    return true;
  });
  if (worker_pid_ < 0) leave();
}

void Monitor::pump(Stream& stream) noexcept {
  const bool attached = clients_.any_attached();
  const Stream::Read result = stream.read(attached ? kMostBytes : kReadMost);
  if (result == Stream::Read::kNothing) return;
  const timespec now = time_of_day();
  if (result == Stream::Read::kEnd) {
    stream.finish(log(), now);
    stream.close();
  } else {
    if (attached) owed_ = !clients_.output(stream.bit(), stream.chunk(), milliseconds_now());
    // The bytes are what the clients still have to get: they are taken to the log afterwards.
    if (!owed_) stream.take_to(log(), now);
  }
  unflushed_ = true;
  if (result != Stream::Read::kAll) flush();
}

void Monitor::flush() noexcept {
  if (log_) log_->flush();
  unflushed_ = false;
}

void Monitor::drain() noexcept {
  while (owed_) {
    struct pollfd nothing{-1, 0, 0};
    (void)::poll(&nothing, 1, 10);
    owed_ = !clients_.deliver(milliseconds_now());
  }
  for (Stream* stream : {&output_, &error_}) {
    if (stream->get() < 0) continue;
    stream->take_to(log(), time_of_day());
    for (;;) {
      const bool attached = clients_.any_attached();
      const Stream::Read result = stream->read(attached ? kMostBytes : kReadMost);
      if (result == Stream::Read::kNothing || result == Stream::Read::kEnd) break;
      if (attached && !clients_.output(stream->bit(), stream->chunk(), milliseconds_now()))
        while (!clients_.deliver(milliseconds_now())) (void)::poll(nullptr, 0, 10);
      stream->take_to(log(), time_of_day());
    }
    stream->finish(log(), time_of_day());
  }
  flush();
}

void Monitor::check_deadlines() noexcept {
  if (deadline_ == kNever || milliseconds_now() < deadline_) return;
  deadline_ = kNever;
  if (phase_ == Phase::kRunning) {
    ended_.timed_out = true;
    // Its restart policy is for containers that end by themselves.
    stopping_ = true;
    (void)container_.init.send_signal(SIGKILL);
  } else if (phase_ == Phase::kPausing) {
    ++ended_.restarts;
    launch(Fd());
  }
}

void Monitor::step() noexcept {
  constexpr std::size_t kOwn = 5;
  std::array<struct pollfd, kOwn + Clients::kMost + 1> items;
  const bool reading = !owed_;
  items[0] = {signals_.get(), POLLIN, 0};
  items[1] = {launcher_ ? launcher_.get() : -1, POLLIN, 0};
  short output_events = reading ? POLLIN : 0;
  if (settings().terminal && !input_left_.empty()) output_events |= POLLOUT;
  items[2] = {output_events != 0 ? output_.get() : -1, output_events, 0};
  items[3] = {reading ? error_.get() : -1, POLLIN, 0};
  items[4] = {!input_left_.empty() && container_.input ? container_.input.get() : -1, POLLOUT, 0};
  const std::size_t clients = clients_.prepare(std::span(items).subspan(kOwn), input_left_.empty());
  std::int64_t wait = unflushed_ ? 0 : kNever;
  if (deadline_ != kNever)
    wait = sooner(wait, std::max<std::int64_t>(deadline_ - milliseconds_now(), 0));
  if (owed_) wait = sooner(wait, 1000);
  if (flooded()) wait = sooner(wait, kQuietMilliseconds);
  const int ready =
      ::poll(items.data(), kOwn + clients, static_cast<int>(std::min<std::int64_t>(wait, 1 << 30)));
  if (ready == 0 && unflushed_ && !owed_) {
    flush();
  } else if (ready == 0 && flooded() && !owed_) {
    output_.trim();
    error_.trim();
    if (log_) log_->trim();
  }
  check_deadlines();
  if (ready <= 0) {
    if (owed_) owed_ = !clients_.deliver(milliseconds_now());
    return;
  }
  if (owed_) {
    owed_ = !clients_.deliver(milliseconds_now());
    if (!owed_)
      for (Stream* stream : {&output_, &error_}) stream->take_to(log(), time_of_day());
  }
  if (items[1].revents != 0) take_over();
  if (items[4].revents != 0 || (items[2].revents & POLLOUT) != 0) write_input();
  if (!owed_ && (items[2].revents & ~POLLOUT) != 0) pump(output_);
  if (!owed_ && items[3].revents != 0) pump(error_);
  clients_.serve(std::span(items).subspan(kOwn, clients), *this);
  if (items[0].revents != 0) reap();
}

void Monitor::run(Fd command, Fd first_client, const sigset_t& original) noexcept {
  original_ = original;
  (void)::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  launch(std::move(command));
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  signals_ = Fd(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) ::_exit(1);
  const std::array kept{signals_.get(), launcher_.get(), first_client.get()};
  if (!leave_caller(kept)) ::_exit(1);
  show_as("bulkhead-monit", "bulkhead-monitor " + plan_.id);
  // What reading the command line has used and freed.
  (void)::malloc_trim(0);
  if (first_client) clients_.adopt(std::move(first_client), plan_.first_client_streams);
  for (;;) step();
}

alignas(Monitor) char monitor_room[sizeof(Monitor)];

}  // namespace

Result<void> start_with_monitor(Work& work, MonitorPlan plan, const Warn& warn) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return std::unexpected(Error(SysError{"socketpair", errno}));
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  // From here on the monitor takes no signal, but its children's ends.
  sigset_t all;
  sigset_t original;
  ::sigfillset(&all);
  (void)::sigprocmask(SIG_SETMASK, &all, &original);
  const pid_t pid = ::fork();
  if (pid < 0) {
    const int error = errno;
    (void)::sigprocmask(SIG_SETMASK, &original, nullptr);
    return std::unexpected(Error(SysError{"fork", error}).within("starting the monitor"));
  }
  if (pid == 0) {
    ours.reset();
    Fd first_client = std::move(plan.first_client);
    auto* const monitor = new (monitor_room) Monitor(work, plan);
    monitor->run(std::move(theirs), std::move(first_client), original);
  }
  (void)::sigprocmask(SIG_SETMASK, &original, nullptr);
  theirs.reset();
  plan.first_client.reset();
  return wait_for_launcher(ours.get(), warn);
}

}  // namespace bulkhead::supervise
