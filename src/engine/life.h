// What is done to containers that live: stop, kill, pause, wait, rename. Each takes a container as
// find() tells of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/containers.h"
#include "engine/options.h"
#include "oci/spec.h"
#include "supervise/restart.h"

namespace bulkhead::engine {

// The stop signal, and SIGKILL after `seconds` (nothing: the container's own; negative: never). Fine
// when it does not run. Returns when it is no more.
Result<void> stop(const StoreOptions& options, const ListedContainer& container,
                  std::optional<std::int64_t> seconds);

// One signal to the first process. kState when it does not run. Returns after SIGKILL when it is dead.
Result<void> kill(const StoreOptions& options, const ListedContainer& container, int signal);

Result<void> pause(const StoreOptions& options, const ListedContainer& container);
Result<void> unpause(const StoreOptions& options, const ListedContainer& container);

// The exit code of its next end, or of its last where it does not run.
Result<int> wait(const StoreOptions& options, const ListedContainer& container);

Result<void> rename(const StoreOptions& options, const ListedContainer& container,
                    const std::string& new_name);

// New limits, now and for every start to come; and a new restart policy.
struct Update {
  std::optional<std::int64_t> memory;  // bytes; -1: none
  std::optional<std::int64_t> memory_swap;
  std::optional<std::int64_t> cpu_thousandths;
  std::optional<std::int64_t> pids;  // -1: none
  std::optional<supervise::RestartPolicy> restart;
};
Result<void> update(const StoreOptions& options, const ListedContainer& container,
                    const Update& wanted);

// All that have ended or were never started; their ids.
Result<std::vector<std::string>> prune(const StoreOptions& options);

}  // namespace bulkhead::engine
