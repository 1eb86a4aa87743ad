// The monitor: the one process that stays with a detached container. It is the parent of the
// container's first process, takes its output to the log and to whoever has attached, keeps its terminal,
// tells its end to who waits, and starts it again where a restart policy says so.
//
// It is forked before anything large is read, and stays small: what needs memory (making the container,
// taking it away) it leaves to short-lived forks of itself. It shares nothing with who started it: a
// session of its own, no descriptor, no terminal.
#pragma once

#include <cstdint>
#include <string>

#include "supervise/handover.h"
#include "supervise/health.h"

namespace bulkhead::supervise {

struct Ended {
  ExitStatus exit;
  bool timed_out = false;
  bool output_limited = false;
  bool unknown = false;  // how it ended
  bool starts_again = false;
  bool stopped = false;         // because somebody asked for it
  std::uint32_t restarts = 0;   // so far
  std::uint64_t oom_kills = 0;  // that out_of_memory() has not been told of
};

// What the engine does for a monitor. Each is called in a process of its own, which ends with it.
class Work {
 public:
  virtual ~Work() = default;
  // Launches the container and hands it over; `restarts` is 0 the first time. Or one that runs already
  // is handed over. False: it failed, was
  // reported, and nothing is left that was not there before.
  virtual bool launch(const Handover& handover, std::uint32_t restarts) = 0;
  // The container's first process has ended.
  virtual void ended(const Ended& ended) = 0;
  // One health check, to its end; the process holds no descriptor. `starting`: failures do not count
  // yet.
  virtual Health check_health(bool starting) = 0;
  // The kernel has killed so many of the container's processes for want of memory; it may live on.
  virtual void out_of_memory(std::uint64_t kills) = 0;
  // launch() was killed half way.
  virtual void clear_away() = 0;
};

struct MonitorPlan {
  std::string socket_directory;  // absolute; made when it is missing
  std::string id;
  // A client that has attached before the container starts; may be empty.
  Fd first_client;
  std::uint8_t first_client_streams = 0;
};

// Forks the monitor, and returns when the container has been started or could not be.
Result<void> start_with_monitor(Work& work, MonitorPlan plan, const Warn& warn);

}  // namespace bulkhead::supervise
