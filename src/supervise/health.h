// When a container's health is checked, and what it is called: Docker's HEALTHCHECK. Pure; what a check
// is, and what becomes of its result, is the engine's (Work::check_health).
#pragma once

#include <cstdint>
#include <string_view>

namespace bulkhead::supervise {

enum class Health : std::uint8_t { kStarting, kHealthy, kUnhealthy };
std::string_view name_of(Health health);

// Plain data: it crosses from one process to another. Times in milliseconds.
struct HealthSettings {
  bool enabled = false;
  std::int64_t interval = 30'000;
  std::int64_t timeout = 30'000;
  std::int64_t start_period = 0;       // in which failures do not count
  std::int64_t start_interval = 5000;  // between the checks of that period
  std::uint32_t retries = 3;           // failures in a row that make it unhealthy
  bool operator==(const HealthSettings&) const = default;
};

// One check at a time; the next one is due an interval after the last has ended. Times are those of any
// clock that goes on while the machine sleeps, in milliseconds.
class HealthSchedule {
 public:
  static constexpr std::int64_t kNever = -1;

  void start(const HealthSettings& settings, std::int64_t now) noexcept;
  void stop() noexcept { due_ = kNever; }
  // kNever: none is due before something else happens.
  std::int64_t due_at() const noexcept { return due_; }
  bool is_due(std::int64_t now) const noexcept { return due_ != kNever && now >= due_; }
  // Whether failures do not count yet, once it has started.
  bool in_start_period(std::int64_t now) const noexcept {
    return now - started_ < settings_.start_period;
  }
  void begun() noexcept { due_ = kNever; }
  void ended(Health health, std::int64_t now) noexcept;

 private:
  std::int64_t pause(std::int64_t now) const noexcept;
  HealthSettings settings_;
  Health health_ = Health::kStarting;
  std::int64_t started_ = 0;
  std::int64_t due_ = kNever;
};

}  // namespace bulkhead::supervise
