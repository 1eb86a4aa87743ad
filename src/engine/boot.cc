#include "engine/boot.h"

#include <sys/wait.h>
#include <unistd.h>

#include "engine/detached.h"
#include "engine/life.h"
#include "engine/registry.h"
#include "storage/store.h"

namespace bulkhead::engine {
namespace {

using supervise::RestartKind;

constexpr std::size_t kMostAtOnce = 64;

// That it was stopped is the machine's doing, and no wish of its user's.
Result<void> forget_the_stop(const StoreOptions& options, const std::string& id) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  const auto held = hold_container(store.get(), id);
  // With --rm it is gone; and whoever holds it has started it since.
  if (!held &&
      (held.error().kind() == ErrorKind::kNotFound || held.error().kind() == ErrorKind::kState))
    return {};
  if (!held) return std::unexpected(held.error());
  TRY_ASSIGN(LifeRecord life, read_life_record(held->get()));
  life.stopped_by_user = false;
  return write_life_record(held->get(), life);
}

}  // namespace

bool comes_back(const ListedContainer& container) {
  if (!container.record || container.status != ContainerStatus::kExited) return false;
  const LifeRecord& life = container.life;
  switch (container.record->restart.kind) {
    case RestartKind::kNo: return false;
    case RestartKind::kAlways: return true;
    case RestartKind::kUnlessStopped: return !life.stopped_by_user;
    case RestartKind::kOnFailure:
      return !life.stopped_by_user && life.exit_code != 0 &&
             (container.record->restart.most == 0 ||
              life.restarts < container.record->restart.most);
  }
  return false;
}

Result<bool> start_all(const StoreOptions& options, const Warn& warn, const Told& told) {
  // Also repairs the records of those that ended with the machine.
  TRY_ASSIGN(const auto containers, list(options));
  bool all = true;
  // In the order in which they were made: a later one may need an earlier one.
  for (auto container = containers.rbegin(); container != containers.rend(); ++container) {
    if (!comes_back(*container)) continue;
    const auto started = start(options, container->id, warn);
    all = all && started;
    told(*container, started);
  }
  return all;
}

Result<bool> stop_all(const StoreOptions& options, std::optional<std::int64_t> seconds,
                      const Told& told) {
  TRY_ASSIGN(auto containers, list(options));
  std::erase_if(containers, [](const ListedContainer& container) {
    return !runs(container.status) && container.status != ContainerStatus::kRestarting;
  });
  bool all = true;
  std::size_t under_way = 0;
  const auto wait_for_one = [&] {
    int status = 0;
    if (::wait(&status) < 0) return;
    --under_way;
    all = all && status == 0;
  };
  // At the same time: each may take the whole of its patience.
  for (const ListedContainer& container : containers) {
    if (under_way == kMostAtOnce) wait_for_one();
    const pid_t pid = ::fork();
    if (pid < 0) return std::unexpected(Error(SysError{"fork", errno}));
    if (pid > 0) {
      ++under_way;
      continue;
    }
    auto stopped = stop(options, container, {.seconds = seconds, .signal = {}});
    if (stopped && container.record) stopped = forget_the_stop(options, container.id);
    told(container, stopped);
    ::_exit(stopped ? 0 : 1);
  }
  while (under_way > 0) wait_for_one();
  return all;
}

}  // namespace bulkhead::engine
