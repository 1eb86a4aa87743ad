#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>

#include "supervise/monitor_loop.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::supervise {

void Monitor::launch(Fd command) noexcept {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) leave();
  launcher_ = Fd(ends[0]);
  Fd other(ends[1]);
  phase_ = Phase::kLaunching;
  launcher_pid_ = fork_off([&] {
    launcher_.reset();
    const Handover handover(std::move(other), std::move(command));
    return work_.launch(handover, ended_.restarts) ? 0 : 1;
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
  if (container_.adopted) {
    ended_.restarts = container_.restarts;
    // What was killed before is not news.
    (void)container_.oom.news();
  }
  open_log();
  if (container_.output) output_.open(std::move(container_.output));
  if (container_.error) error_.open(std::move(container_.error));
  if (container_.input) (void)::fcntl(container_.input.get(), F_SETFL, O_WRONLY | O_NONBLOCK);
  started_ = milliseconds_now();
  deadline_ =
      settings().timeout_milliseconds < 0 ? kNever : started_ + settings().timeout_milliseconds;
  ended_.timed_out = false;
  ended_.output_limited = false;
  ended_.unknown = false;
  output_bytes_ = 0;
  phase_ = Phase::kRunning;
  health_.start(settings().health, started_);
  // What an earlier life has put aside.
  if (file_log_ && settings().log.compress) begin_compression();
  if (stopping_) (void)container_.init.send_signal(SIGKILL);
  reap();
}

void Monitor::reap() noexcept {
  struct signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) > 0) continue;
  // Also orphans of a container without a pid namespace of its own: they are reparented to us.
  for (;;) {
    int status = 0;
    // While it is launched, the container's first process may be ours already, and dead: how it ended is
    // asked once it is known which one it is.
    const pid_t any = phase_ == Phase::kLaunching ? launcher_pid_ : -1;
    const pid_t pid = ::waitpid(any, &status, WNOHANG);
    if (pid <= 0) return;
    if (pid == launcher_pid_) {
      launcher_gone(status);
    } else if (pid == worker_pid_) {
      worker_pid_ = 0;
      if (phase_ == Phase::kClearing) leave();
      if (phase_ == Phase::kRecording) recorded();
    } else if (pid == compression_pid_) {
      compression_gone(status);
    } else if (pid == check_pid_) {
      check_pid_ = 0;
      health_.ended(WIFEXITED(status) && WEXITSTATUS(status) <= static_cast<int>(Health::kUnhealthy)
                        ? static_cast<Health>(WEXITSTATUS(status))
                        : Health::kStarting,
                    milliseconds_now());
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
    return 0;
  });
  if (worker_pid_ < 0) leave();
}

// Not our child: its descriptor tells that it has ended, and a new kernel how.
void Monitor::adopted_gone() noexcept {
  const auto status = container_.init.wait_status_of_stranger();
  ended_.unknown = !status;
  constexpr int kUnknownExit = 255 << 8;
  container_gone(status.value_or(kUnknownExit));
}

void Monitor::container_gone(int status) noexcept {
  ended_.exit =
      WIFSIGNALED(status) ? ExitStatus{0, WTERMSIG(status)} : ExitStatus{WEXITSTATUS(status), 0};
  end_checks();
  drain();
  ended_.oom_kills = container_.oom.news();
  end_compression();
  ended_.stopped = stopping_ && !ended_.timed_out && !ended_.output_limited;
  ended_.starts_again =
      !stopping_ && wants_restart(settings().restart, ended_.exit, ended_.restarts);
  phase_ = Phase::kRecording;
  deadline_ = kNever;
  worker_pid_ = fork_off([&] {
    work_.ended(ended_);
    return 0;
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
  clients_.ended(end_flags(), code, ended_.exit.signal);
  phase_ = Phase::kPausing;
  const std::int64_t now = milliseconds_now();
  deadline_ = now + backoff_.next_milliseconds(now - started_);
  if (stopping_) stopping();
}

std::uint8_t Monitor::end_flags() const noexcept {
  return static_cast<std::uint8_t>((ended_.timed_out ? kEndedTimedOut : 0) |
                                   (ended_.output_limited ? kEndedOutputLimited : 0));
}

void Monitor::leave() noexcept {
  // In this order: whoever sees the end finds the container free for the next command.
  if (listening_) (void)::unlinkat(socket_directory_.get(), plan_.id.c_str(), 0);
  clients_.stop_listening();
  container_.directory.reset();
  const auto flags = static_cast<std::uint8_t>(kEndedForGood | end_flags());
  clients_.ended(flags, ended_.exit.shell_code(), ended_.exit.signal);
  ::_exit(0);
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
    return 0;
  });
  if (worker_pid_ < 0) leave();
}

// The check is the engine's, in a process that holds nothing of ours: neither the lock on the container
// nor a client's socket, so that it may outlive us.
void Monitor::begin_check() noexcept {
  health_.begun();
  const bool starting = health_.in_start_period(milliseconds_now());
  check_pid_ = fork_off([&] {
    (void)::syscall(SYS_close_range, 3U, ~0U, 0U);
    return static_cast<int>(work_.check_health(starting));
  });
  // For want of memory, say: the next time, perhaps.
  if (check_pid_ < 0) health_.ended(Health::kStarting, milliseconds_now());
  if (check_pid_ < 0) check_pid_ = 0;
}

void Monitor::end_checks() noexcept {
  health_.stop();
  // Its process in the container dies with the container. It is a child that we have not reaped: the
  // number is still its own.
  if (check_pid_ > 0) (void)::kill(check_pid_, SIGKILL);
  check_pid_ = 0;
}

void Monitor::check_deadlines() noexcept {
  if (phase_ == Phase::kRunning && health_.is_due(milliseconds_now())) begin_check();
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

}  // namespace bulkhead::supervise
