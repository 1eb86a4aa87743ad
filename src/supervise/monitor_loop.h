// The inside of a monitor: one loop over everything that it waits for. What it does is in three files:
// monitor_life.cc (the container's beginning, end and health), monitor_output.cc (its streams) and
// monitor.cc (the loop, and how a monitor comes to be).
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <optional>
#include <span>

#include "supervise/clients.h"
#include "supervise/handover.h"
#include "supervise/health.h"
#include "supervise/journal_log.h"
#include "supervise/log_file.h"
#include "supervise/monitor.h"
#include "supervise/stream.h"

namespace bulkhead::supervise {

inline constexpr std::int64_t kNever = -1;

timespec time_of_day() noexcept;
// Goes on while the machine sleeps: a pause or a time limit is the user's, not the processor's.
std::int64_t milliseconds_now() noexcept;
// Where output and input wait; Stream::kRoom and kMostBytes. Pages that nothing is written to cost nothing.
extern char output_room[], error_room[], input_room[];

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

  // In a child, which ends with what `task` returns.
  template <class Task>
  pid_t fork_off(Task task) noexcept;
  void launch(Fd command) noexcept;
  void take_over() noexcept;
  bool open_socket() noexcept;
  void reap() noexcept;
  void launcher_gone(int status) noexcept;
  void container_gone(int status) noexcept;
  void adopted_gone() noexcept;
  void recorded() noexcept;
  std::uint8_t end_flags() const noexcept;
  [[noreturn]] void leave() noexcept;
  void step() noexcept;
  void pump(Stream& stream) noexcept;
  void drain() noexcept;
  void flush() noexcept;
  void write_input() noexcept;
  void open_log() noexcept;
  void count_output(Stream& stream) noexcept;
  void begin_compression() noexcept;
  void compression_gone(int status) noexcept;
  void end_compression() noexcept;
  void begin_check() noexcept;
  void end_checks() noexcept;
  void check_deadlines() noexcept;
  void check_memory() noexcept;
  bool flooded() const noexcept {
    return output_.flooded() || error_.flooded() || (file_log_ && file_log_->flooded());
  }
  Settings& settings() { return container_.settings; }
  const Settings& settings() const { return container_.settings; }
  Log* log() {
    if (file_log_) return &*file_log_;
    return journal_ ? &*journal_ : nullptr;
  }

  Work& work_;
  const MonitorPlan& plan_;
  Clients clients_;
  sigset_t original_{};
  Fd signals_;
  Fd launcher_;  // the socket
  pid_t launcher_pid_ = 0;
  pid_t worker_pid_ = 0;
  pid_t check_pid_ = 0;
  HealthSchedule health_;
  Fd socket_directory_;
  bool listening_ = false;
  Phase phase_ = Phase::kLaunching;
  Launched container_;
  Ended ended_;
  bool stopping_ = false;
  std::int64_t started_ = 0;
  std::int64_t look_until_ = kNever;  // at the counter of kills
  std::int64_t deadline_ = kNever;    // of the time limit, or of the pause
  Backoff backoff_;
  Stream output_{"stdout", kStreamOutput, output_room};
  Stream error_{"stderr", kStreamError, error_room};
  std::optional<LogFile> file_log_;
  std::optional<JournalLog> journal_;
  std::uint64_t output_bytes_ = 0;  // that the container has written
  pid_t compression_pid_ = 0;
  ino_t compressed_ = 0;  // the file that it is about
  bool unflushed_ = false;
  bool owed_ = false;  // a client has not taken the last output yet
  std::span<const char> input_left_;
};

template <class Task>
pid_t Monitor::fork_off(Task task) noexcept {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  (void)::sigprocmask(SIG_SETMASK, &original_, nullptr);
  ::_exit(task());
}

}  // namespace bulkhead::supervise
