// What is done to containers that live: stop, kill, pause, wait, rename. Each takes a container as
// find() tells of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/containers.h"
#include "engine/options.h"
#include "engine/wish.h"
#include "oci/spec.h"
#include "supervise/restart.h"

namespace bulkhead::engine {

// How a container is asked to end; nothing: as it was made.
struct StopWish {
  std::optional<std::int64_t> seconds;  // until SIGKILL; negative: never
  std::optional<int> signal;
};
// The stop signal, and SIGKILL after its time. Fine when it does not run. Returns when it is no more.
Result<void> stop(const StoreOptions& options, const ListedContainer& container,
                  const StopWish& wish);

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
  oci::Resources resources;  // those that change, alone
  std::optional<supervise::RestartPolicy> restart;

  bool changes_limits() const;
};
// The limits that a wish names, without the defaults of those that it does not name.
oci::Resources named_limits(const Wish& wish);
Result<void> update(const StoreOptions& options, const ListedContainer& container,
                    const Update& wanted);

struct PrunedContainers {
  std::vector<std::string> ids;
  std::uint64_t bytes = 0;  // that they had written
};
// All that have ended or were never started.
Result<PrunedContainers> prune(const StoreOptions& options);

}  // namespace bulkhead::engine
