#include "supervise/health.h"

namespace bulkhead::supervise {

std::string_view name_of(Health health) {
  switch (health) {
    case Health::kStarting: return "starting";
    case Health::kHealthy: return "healthy";
    case Health::kUnhealthy: break;
  }
  return "unhealthy";
}

std::int64_t HealthSchedule::pause(std::int64_t now) const noexcept {
  const bool starting = health_ == Health::kStarting && in_start_period(now);
  return starting ? settings_.start_interval : settings_.interval;
}

void HealthSchedule::start(const HealthSettings& settings, std::int64_t now) noexcept {
  settings_ = settings;
  health_ = Health::kStarting;
  started_ = now;
  due_ = settings.enabled ? now + pause(now) : kNever;
}

void HealthSchedule::ended(Health health, std::int64_t now) noexcept {
  health_ = health;
  due_ = settings_.enabled ? now + pause(now) : kNever;
}

}  // namespace bulkhead::supervise
