// Processes held by descriptor: a pidfd names one process for ever, a pid only until it is reused.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>

#include "base/id.h"
#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead {

// How a process ended.
struct ExitStatus {
  int code = 0;    // exit code; meaningful when signal is 0
  int signal = 0;  // the signal that killed it, 0 for none
  // As a shell and Docker report it: 128 + signal for a killed process.
  int shell_code() const { return signal != 0 ? 128 + signal : code; }
};

class PidFd {
 public:
  PidFd() = default;
  PidFd(Fd fd, HostPid pid) : fd_(std::move(fd)), pid_(pid) {}

  // pidfd_open(2), Linux 5.3. ESRCH when there is no such process.
  static SysResult<PidFd> open(HostPid pid) noexcept;
  // As open, but only when the process is the one that started at `start_time` (start_time_of);
  // ESRCH when the pid has been reused since.
  static Result<PidFd> open_same(HostPid pid, std::uint64_t start_time);

  int get() const noexcept { return fd_.get(); }
  HostPid pid() const noexcept { return pid_; }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  // pidfd_send_signal(2), Linux 5.1.
  SysResult<void> send_signal(int signal) const noexcept;
  // Whether the process has exited (it may still be a zombie).
  bool has_exited() const noexcept;
  // Whether it has exited or is about to (PF_EXITING): it executes nothing any more.
  bool is_ending() const noexcept;
  // How a process that is no child of ours, and has been reaped, ended: its wait status. Linux 6.15;
  // nothing before.
  std::optional<int> wait_status_of_stranger() const noexcept;
  // waitid(P_PIDFD), Linux 5.4: blocks until this child of ours exits, and reaps it.
  SysResult<ExitStatus> wait() const noexcept;

 private:
  Fd fd_;
  HostPid pid_;
};

// When the process was started, in clock ticks since boot (field 22 of /proc/PID/stat).
Result<std::uint64_t> start_time_of(HostPid pid);

}  // namespace bulkhead
