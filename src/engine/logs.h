// `bulkhead logs`.
#pragma once

#include <ctime>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/containers.h"
#include "engine/options.h"
#include "supervise/log_entry.h"

namespace bulkhead::engine {

struct LogChoices {
  bool follow = false;
  std::optional<std::size_t> tail;
  std::optional<timespec> since;
  std::optional<timespec> until;
};

// --since and --until; errors name the flag.
Result<void> read_log_times(const std::optional<std::string>& since,
                            const std::optional<std::string>& until, LogChoices& choices);

// False: enough.
using VisitEntry = std::function<bool(const supervise::LogEntry&)>;
// Returns at the end of what is there, or with `follow` of the container. `pause`: nothing more comes
// for now.
Result<void> logs(const StoreOptions& options, const ListedContainer& container,
                  const LogChoices& choices, const VisitEntry& visit,
                  const std::function<void()>& pause);

}  // namespace bulkhead::engine
