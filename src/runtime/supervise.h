// Standing by a container that runs in the foreground: signals are passed on, a terminal is pumped
// and kept at the size of ours, and the end of the process ends it all.
#pragma once

#include <termios.h>

#include <csignal>
#include <optional>

#include "base/result.h"
#include "runtime/activation.h"
#include "runtime/output_pump.h"
#include "sys/fd.h"
#include "sys/pidfd.h"

namespace bulkhead::runtime {

// Blocks the signals that are to be passed on, so that none is lost between clone and the loop.
// Made before clone; the destructor restores the mask. The child half must undo it for the
// workload: original() is the mask to set there.
class SignalRelay {
 public:
  static Result<SignalRelay> start();
  SignalRelay(SignalRelay&&) noexcept = default;
  SignalRelay& operator=(SignalRelay&&) = delete;
  ~SignalRelay();

  int get() const noexcept { return signals_.get(); }
  const sigset_t& original() const noexcept { return original_; }

 private:
  SignalRelay() = default;
  Fd signals_;
  sigset_t original_{};
};

// Our own standard input as a raw terminal, put back by the destructor; nothing when it is none.
class RawTerminal {
 public:
  static std::optional<RawTerminal> enter(int fd = 0);
  RawTerminal(RawTerminal&& other) noexcept;
  RawTerminal& operator=(RawTerminal&&) = delete;
  ~RawTerminal();

 private:
  RawTerminal(int fd, const termios& before) : fd_(fd), before_(before) {}
  int fd_ = -1;
  termios before_{};
};

// How long a process may run before it is killed.
struct TimeLimit {
  int milliseconds = -1;  // -1: no limit
  bool reached = false;   // it was
};

// What is done with signals that come to us while we stand by.
enum class SignalPolicy {
  kPassOn,
  kKeep,  // those that would end us end the container
};

// Something of the caller's that is to be done now and then.
class Chore {
 public:
  virtual ~Chore() = default;
  virtual int wait_milliseconds() = 0;  // until act() is to be called; -1: not by time
  virtual int descriptor() const = 0;   // act() is to be called when it is readable; -1: none
  virtual void act() = 0;
};

// What else there is to do while a container runs.
struct Watch {
  TimeLimit time;
  OutputPump* output = nullptr;  // counted, and the container is ended beyond the limit
  std::uint64_t terminal_bytes = UINT64_MAX;  // the same with a terminal
  bool output_exceeded = false;
  SignalPolicy policy = SignalPolicy::kPassOn;
  int ended_by_signal = 0;  // kKeep: which one
  Chore* chore = nullptr;
};

// As below, and watches.
Result<ExitStatus> supervise_foreground(const PidFd& process, const SignalRelay& signals,
                                        Fd terminal, Watch& watch, const NotifyRelay& notify = {});

// Until `process`, a child of ours, ends. `terminal` is the master side when the container has a
// terminal and nobody else takes it, else an empty Fd. `notify`, unless empty, is served until the
// container is ready.
Result<ExitStatus> supervise_foreground(const PidFd& process, const SignalRelay& signals,
                                        Fd terminal, TimeLimit* limit = nullptr,
                                        const NotifyRelay& notify = {});

}  // namespace bulkhead::runtime
