// After a reboot and before one: containers that have a restart policy come back, and all are stopped in
// good order.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/containers.h"
#include "engine/options.h"
#include "engine/run.h"

namespace bulkhead::engine {

// Whether a container that does not run is to be started when the machine is: always; unless-stopped if
// nobody has stopped it; on-failure if it has failed. One that was never started is not.
bool comes_back(const ListedContainer& container);

// `told` is called for each container with what came of it. False: some failed.
using Told = std::function<void(const ListedContainer& container, const Result<void>& done)>;
Result<bool> start_all(const StoreOptions& options, const Warn& warn, const Told& told);
// Those that run are stopped, and come back by the next start_all().
Result<bool> stop_all(const StoreOptions& options, std::optional<std::int64_t> seconds,
                      const Told& told);

}  // namespace bulkhead::engine
