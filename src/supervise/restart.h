// Whether and when a container that has ended is started again: Docker's restart policies. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/pidfd.h"

namespace bulkhead::supervise {

enum class RestartKind : std::uint8_t { kNo, kOnFailure, kAlways, kUnlessStopped };

struct RestartPolicy {
  RestartKind kind = RestartKind::kNo;
  std::uint32_t most = 0;  // on-failure: how often; 0: without end
  bool operator==(const RestartPolicy&) const = default;
};

// "no", "on-failure", "on-failure:3", "always", "unless-stopped".
Result<RestartPolicy> parse_restart_policy(std::string_view text);
std::string_view name_of(RestartKind kind);
std::string text_of(const RestartPolicy& policy);

// `restarts`: how often that has happened since somebody started the container.
bool wants_restart(const RestartPolicy& policy, const ExitStatus& exit, std::uint32_t restarts);

// The pause before the next start: 100 ms, twice as long after each start that did not last 10 s, up
// to a minute.
class Backoff {
 public:
  // How long the container had been up.
  std::int64_t next_milliseconds(std::int64_t up_milliseconds);

 private:
  std::int64_t last_ = 0;
};

}  // namespace bulkhead::supervise
