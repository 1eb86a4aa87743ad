#include "storage/registry/retry.h"

#include <sys/random.h>

#include <algorithm>

namespace bulkhead::storage {

std::optional<std::chrono::milliseconds> Retry::next(std::optional<std::uint64_t> retry_after,
                                                     double random) {
  using std::chrono::milliseconds;
  if (++failures_ >= limits_.attempts) return std::nullopt;
  const int doublings = std::min(failures_ - 1, 16);
  const milliseconds whole = std::min(limits_.longest, limits_.first * (1 << doublings));
  // Half of it for certain, the other half by chance.
  const double share = 0.5 + 0.5 * std::clamp(random, 0.0, 1.0);
  milliseconds wait(static_cast<std::int64_t>(static_cast<double>(whole.count()) * share));
  if (retry_after) {
    const std::uint64_t most = static_cast<std::uint64_t>(limits_.longest_asked_for.count()) / 1000;
    const auto asked = milliseconds(static_cast<std::int64_t>(std::min(*retry_after, most)) * 1000);
    wait = std::max(wait, asked);
  }
  return wait;
}

bool is_transient_status(std::uint64_t status) {
  return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
         status == 503 || status == 504;
}

double random_fraction() {
  std::uint32_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != sizeof bits) return 0.5;
  return static_cast<double>(bits) / 4294967296.0;
}

}  // namespace bulkhead::storage
