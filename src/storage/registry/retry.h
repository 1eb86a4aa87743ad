// When to try again what a registry or the network did not do: exponential backoff with jitter, so
// that many clients do not come back at once, within bounds that a hostile Retry-After cannot move.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace bulkhead::storage {

struct RetryLimits {
  int attempts = 6;  // in a row without any progress
  std::chrono::milliseconds first{500};
  std::chrono::milliseconds longest{30'000};
  std::chrono::milliseconds longest_asked_for{120'000};  // of Retry-After
};

class Retry {
 public:
  explicit Retry(const RetryLimits& limits = {}) : limits_(limits) {}

  // How long to wait before the next attempt; nothing when it was the last. `retry_after`: seconds
  // that the registry asked for.
  std::optional<std::chrono::milliseconds> next(std::optional<std::uint64_t> retry_after,
                                                double random);
  // Bytes came: whatever fails next is a new failure.
  void progressed() { failures_ = 0; }
  int failures() const { return failures_; }

 private:
  RetryLimits limits_;
  int failures_ = 0;
};

// Whether a status is worth another attempt: 408, 425, 429, 500, 502, 503, 504.
bool is_transient_status(std::uint64_t status);

double random_fraction();  // in [0, 1)

}  // namespace bulkhead::storage
