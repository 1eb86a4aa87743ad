// One health check of a container that runs: the command as a further process of it, with its own
// limits and layers and never more than its first process has.
#pragma once

#include <csignal>
#include <string>

#include "engine/health.h"
#include "engine/options.h"
#include "runtime/supervise.h"
#include "supervise/health.h"
#include "sys/pidfd.h"

namespace bulkhead::engine {

// For a process of its own: its standard output and error are no more when it returns. Runs the check,
// ends all of it, and writes the result down. A container that is paused or has just ended is not
// judged. `starting`: in the period in which failures do not count.
supervise::Health run_health_check(const StoreOptions& options, const std::string& id,
                                   const HealthCheck& check, bool starting);

// The checks of a container in the foreground, which has no monitor. The destructor ends one that is
// under way.
class ForegroundChecks final : public runtime::Chore {
 public:
  // The container has just started. What it is given outlives it; `signals` is the mask for checks.
  ForegroundChecks(const StoreOptions& options, const std::string& id, const HealthCheck& check,
                   const sigset_t& signals);
  ForegroundChecks(const ForegroundChecks&) = delete;
  ForegroundChecks& operator=(const ForegroundChecks&) = delete;
  ~ForegroundChecks() override;

  int wait_milliseconds() override;
  int descriptor() const override { return checking_.get(); }
  void act() override;

 private:
  void begin();

  const StoreOptions& options_;
  const std::string& id_;
  const HealthCheck& check_;
  const sigset_t& signals_;
  supervise::HealthSchedule schedule_;
  PidFd checking_;
};

}  // namespace bulkhead::engine
