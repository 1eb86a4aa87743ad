// What a launcher hands to the monitor that it was forked from, and what it reports to the command that
// waits. All three are the same program, so plain data crosses as it is.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "supervise/health.h"
#include "supervise/log.h"
#include "supervise/oom_notice.h"
#include "supervise/restart.h"
#include "sys/fd.h"
#include "sys/pidfd.h"

namespace bulkhead::supervise {

// What the monitor keeps to; plain data.
struct Settings {
  RestartPolicy restart;
  std::int64_t timeout_milliseconds = -1;
  std::int64_t most_output_bytes = -1;  // then it is ended; -1: without end
  LogSettings log;
  HealthSettings health;
  bool terminal = false;
  bool stdin_once = false;  // the first client's end of input is the container's
};

// A container that has been launched, on its way to the monitor, which is its parent once the launcher
// has gone.
struct Launched {
  Settings settings;
  PidFd init;
  Fd directory;                // of the container in the store; carries the lock
  Fd output;                   // the terminal's master, or the pipe of standard output
  Fd error;                    // empty with a terminal
  Fd input;                    // empty: the container's standard input is closed
  std::uint32_t restarts = 0;  // so far
  // Its monitor was killed: it is nobody's child that could tell how it ended.
  bool adopted = false;
  OomNotice oom;
};

// The launcher's end.
class Handover {
 public:
  Handover(Fd monitor, Fd command) : monitor_(std::move(monitor)), command_(std::move(command)) {}

  // Returns once the monitor stands by the container. On failure it never will.
  Result<void> give(const Launched& launched) const;

  // To the command that waits; nothing for nobody.
  void warn(std::string_view text) const;
  void report_error(const Error& error) const;
  void report_started() const;

 private:
  Fd monitor_;
  Fd command_;
};

// The monitor's end. Nothing when the launcher has gone without a word.
SysResult<bool> receive_launched(int launcher, Launched& launched) noexcept;
SysResult<void> acknowledge(int launcher) noexcept;

// The command's end: until the launcher has reported success or failure.
using Warn = std::function<void(const std::string&)>;
Result<void> wait_for_launcher(int launcher, const Warn& warn);

}  // namespace bulkhead::supervise
