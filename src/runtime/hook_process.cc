#include "runtime/hook_process.h"

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <ctime>

#include "runtime/hook_output.h"
#include "sys/fd.h"

namespace bulkhead::runtime {
namespace {

constexpr std::size_t kStackSize = 32 * 1024;
constexpr int kMostPieces = 64;  // of 1 KiB

struct Start {
  const HookCommand* command;
  int output;
  int error = 0;
};

// Ends the hook's process before it has become the hook. The address sanitizer is kept out of both
// functions: they leave marks on the shared stack, and never return to take them back.
[[noreturn, gnu::no_sanitize_address]] void refuse(Start& start) noexcept {
  start.error = errno;
  ::_exit(127);
}

// Runs on a stack of its own in the memory of the caller, which sleeps until the execve.
[[gnu::no_sanitize_address]] int hook_main(void* argument) noexcept {
  Start& start = *static_cast<Start*>(argument);
  const HookCommand& command = *start.command;
  if (::setpgid(0, 0) != 0) refuse(start);
  // Nobody waits for a hook whose runtime is gone.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) refuse(start);
  if (::dup2(command.state, 0) < 0 || ::dup2(start.output, 1) < 0 || ::dup2(start.output, 2) < 0)
    refuse(start);
  // Everything of ours is close-on-exec, but what we inherited ourselves may not be.
  if (::syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC, Linux 5.11 */) != 0 &&
      errno != EINVAL && errno != ENOSYS)
    refuse(start);
  struct sigaction fresh{};
  fresh.sa_handler = SIG_DFL;
  (void)::sigaction(SIGPIPE, &fresh, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) refuse(start);
  ::execve(command.path, command.argv, command.envp);
  refuse(start);
}

std::int64_t now_milliseconds() noexcept {
  struct timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

enum class Piece { kRead, kNothingYet, kEnd };

Piece read_into(int fd, OutputTail& tail) noexcept {
  std::array<char, 1024> piece;
  const ssize_t count = ::read(fd, piece.data(), piece.size());
  if (count < 0) return errno == EINTR || errno == EAGAIN ? Piece::kNothingYet : Piece::kEnd;
  tail.append({piece.data(), static_cast<std::size_t>(count)});
  return count > 0 ? Piece::kRead : Piece::kEnd;
}

SysResult<PidFd> start_process(Start& start) noexcept {
  alignas(16) std::array<char, kStackSize> stack;
  // No signal may be handled while two processes share this memory; the hook starts with none
  // blocked.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  const int pid = ::clone(hook_main, stack.data() + stack.size(),
                          CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &start, &pidfd);
  const int error = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return sys_fail_with(error, "clone");
  PidFd process{Fd(pidfd), HostPid(pid)};
  if (start.error != 0) {
    (void)process.wait();
    return sys_fail_with(start.error, "execve");
  }
  return process;
}

}  // namespace

SysResult<HookEnd> run_hook_process(const HookCommand& command, std::span<char> output) noexcept {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return sys_fail("pipe2");
  const Fd reading(ends[0]);
  Fd writing(ends[1]);
  if (::fcntl(reading.get(), F_SETFL, O_NONBLOCK) != 0) return sys_fail("fcntl");
  if (::lseek(command.state, 0, SEEK_SET) != 0) return sys_fail("lseek");

  Start start{&command, writing.get()};
  auto process = start_process(start);
  if (!process) return std::unexpected(process.error());
  writing.reset();

  HookEnd end;
  OutputTail tail(output);
  const std::int64_t deadline = now_milliseconds() + command.timeout_milliseconds;
  std::array<struct pollfd, 3> items{
      {{process->get(), POLLIN, 0}, {reading.get(), POLLIN, 0}, {command.watched, POLLIN, 0}}};
  const auto kill_all = [&] {
    // Not reaped yet, so the number still means this process's group.
    (void)::kill(-process->pid().value(), SIGKILL);
    (void)process->send_signal(SIGKILL);
  };
  while (items[0].revents == 0) {
    int patience = -1;
    if (command.timeout_milliseconds >= 0 && !end.timed_out)
      patience = static_cast<int>(std::max<std::int64_t>(deadline - now_milliseconds(), 0));
    const int ready = ::poll(items.data(), items.size(), patience);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) {
      // Without it no timeout can be kept.
      const auto failure = sys_fail("poll");
      kill_all();
      (void)process->wait();
      return failure;
    }
    if (ready == 0) {
      end.timed_out = true;
      kill_all();
    }
    if (ready > 0 && items[2].revents != 0) {
      items[2].fd = -1;
      end.abandoned = true;
      kill_all();
    }
    if (ready > 0 && items[1].revents != 0 && read_into(reading.get(), tail) == Piece::kEnd)
      items[1].fd = -1;
  }
  // A process that the hook left behind may hold the pipe open, and write on: take what a pipe can hold
  // and no more.
  for (int pieces = 0; items[1].fd >= 0 && pieces < kMostPieces; ++pieces)
    if (read_into(reading.get(), tail) != Piece::kRead) break;
  end.output_size = tail.size();
  auto status = process->wait();
  if (!status) return std::unexpected(status.error());
  end.status = *status;
  return end;
}

}  // namespace bulkhead::runtime
