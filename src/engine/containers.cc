#include "engine/containers.h"

#include <time.h>

#include <algorithm>

#include "base/text.h"
#include "engine/detached.h"
#include "engine/ending.h"
#include "engine/events.h"
#include "engine/holdings.h"
#include "engine/metadata.h"
#include "engine/prepare.h"
#include "engine/registry.h"
#include "oci/decode.h"
#include "runtime/record.h"
#include "supervise/client.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

// What the runtime knows of a container that has not ended.
struct Seen {
  runtime::Record record;
  runtime::Observation observation;
};
std::optional<Seen> see(const StoreOptions& options, const std::string& id) {
  const auto directory = runtime::ContainerDirectory::open(state_root_of(options), id);
  if (!directory) return std::nullopt;
  auto record = directory->read_record();
  if (!record) return std::nullopt;
  const auto observation = directory->observe(*record);
  if (!observation) return std::nullopt;
  return Seen{*std::move(record), *observation};
}

void tell_of_foreground(const Seen& seen, ListedContainer& container) {
  const auto annotation = [&](std::string_view key) {
    const auto found = seen.record.annotations.find(std::string(key));
    return found == seen.record.annotations.end() ? std::string() : found->second;
  };
  container.name = annotation("org.bulkhead.name");
  container.image = annotation("org.bulkhead.image");
  container.created = container.started = seen.record.created;
  container.stop_signal = annotation(kStopSignalAnnotation);
  container.stop_timeout =
      parse_number<std::int64_t>(annotation(kStopTimeoutAnnotation)).value_or(10);
}

// What runs in the foreground stands in the runtime's configuration alone.
std::vector<std::string> arguments_of_foreground(const StoreOptions& options,
                                                 const std::string& id) {
  const auto directory = runtime::ContainerDirectory::open(state_root_of(options), id);
  if (!directory) return {};
  const auto text = directory->read_config();
  if (!text) return {};
  auto spec = oci::decode_spec(*text);
  return spec && spec->process ? std::move(spec->process->args) : std::vector<std::string>();
}

std::optional<ContainerStatus> live_status(const std::optional<Seen>& seen) {
  if (!seen) return std::nullopt;
  if (seen->observation.status == runtime::Status::kRunning) return ContainerStatus::kRunning;
  if (seen->observation.status == runtime::Status::kPaused) return ContainerStatus::kPaused;
  return std::nullopt;
}

ContainerStatus recorded_status(const LifeRecord& life) {
  switch (life.status) {
    case LifeStatus::kCreated: return ContainerStatus::kCreated;
    case LifeStatus::kRestarting: return ContainerStatus::kRestarting;
    case LifeStatus::kRunning:
    case LifeStatus::kExited: break;
  }
  return ContainerStatus::kExited;
}

Result<std::optional<ListedContainer>> look(const StoreOptions& options,
                                            const storage::Store& store, const std::string& id,
                                            bool& needs_repair) {
  ListedContainer container;
  container.id = id;
  container.name = id.substr(0, 12);
  const auto directory = open_container(store.get(), id);
  if (!directory && directory.error().kind() == ErrorKind::kNotFound) return std::nullopt;
  if (!directory) return std::unexpected(directory.error());
  TRY_ASSIGN(container.storage, read_storage_record(store.get(), container_path(id)));
  TRY_ASSIGN(container.record, read_container_record(directory->get()));
  if (!container.record) {
    // In the foreground of a `bulkhead run`, or on the way to somewhere else.
    const bool abandoned = hold_container(store.get(), id).has_value();
    const auto seen = see(options, id);
    container.status = abandoned ? ContainerStatus::kDead : ContainerStatus::kRunning;
    if (seen) {
      tell_of_foreground(*seen, container);
      container.arguments = arguments_of_foreground(options, id);
      container.pid = seen->observation.init.pid.value();
    }
    TRY_ASSIGN(container.health, read_health_record(directory->get()));
    return container;
  }
  if (container.record->health.enabled()) {
    TRY_ASSIGN(container.health, read_health_record(directory->get()));
  }
  TRY_ASSIGN(container.life, read_life_record(directory->get()));
  container.name = container.record->name;
  container.image = container.record->image;
  container.created = container.record->created;
  container.started = container.life.started;
  container.stop_signal = container.record->stop_signal;
  container.stop_timeout = container.record->stop_timeout;
  container.status = recorded_status(container.life);
  if (container.life.status == LifeStatus::kCreated) return container;
  if (container.life.status != LifeStatus::kExited) {
    const auto seen = see(options, id);
    if (const auto live = live_status(seen)) {
      container.status = *live;
      container.pid = seen->observation.init.pid.value();
      needs_repair = hold_container(store.get(), id).has_value();
      return container;
    }
    needs_repair = hold_container(store.get(), id).has_value();
    // It has just ended, or is about to start again, and whoever stands by it has not yet said so.
    if (!needs_repair && container.life.status == LifeStatus::kRunning)
      container.status = ContainerStatus::kRunning;
  }
  return container;
}

// Ends a container that somebody stands by, and takes its lock once it is free; nothing when whoever
// stood by it has given it back himself. A start that is under way has neither a monitor that answers nor
// a process yet, and would go on after us: so it is asked and killed until it lets go.
Result<std::optional<Fd>> end_held(const StoreOptions& options, int store, const std::string& id) {
  constexpr timespec kMoment{0, 10'000'000};
  for (;;) {
    // A monitor must not start it again.
    auto monitor = supervise::MonitorClient::connect(monitor_directory(options), id);
    if (monitor && *monitor) (void)(*monitor)->stopping();
    TRY(remove_from_runtime(state_root_of(options), id));
    for (int tries = 0; tries < 20; ++tries) {
      auto held = hold_container(store, id);
      if (held) return *std::move(held);
      if (held.error().kind() == ErrorKind::kNotFound) return std::nullopt;
      if (held.error().kind() != ErrorKind::kState) return std::unexpected(std::move(held).error());
      (void)::nanosleep(&kMoment, nullptr);
    }
  }
}

}  // namespace

std::string_view name_of(ContainerStatus status) {
  switch (status) {
    case ContainerStatus::kCreated: return "created";
    case ContainerStatus::kRunning: return "running";
    case ContainerStatus::kPaused: return "paused";
    case ContainerStatus::kRestarting: return "restarting";
    case ContainerStatus::kExited: return "exited";
    case ContainerStatus::kDead: return "dead";
  }
  return "";
}

bool runs(ContainerStatus status) {
  return status == ContainerStatus::kRunning || status == ContainerStatus::kPaused;
}

Result<std::optional<ListedContainer>> look_at(const StoreOptions& options,
                                               const storage::Store& store, const std::string& id) {
  bool needs_repair = false;
  TRY_ASSIGN(auto container, look(options, store, id, needs_repair));
  if (needs_repair) {
    TRY(repair(options, id));
    TRY_ASSIGN(container, look(options, store, id, needs_repair));
  }
  // As Docker has it: what does not run is not healthy.
  if (container && container->health && !runs(container->status))
    container->health->health = supervise::Health::kUnhealthy;
  return container;
}

Result<std::vector<ListedContainer>> list(const StoreOptions& options) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const auto ids, list_containers(store.get()));
  std::vector<ListedContainer> containers;
  for (const std::string& id : ids) {
    TRY_ASSIGN(auto container, look_at(options, store, id));
    if (container) containers.push_back(*std::move(container));
  }
  std::ranges::sort(containers, std::greater(), &ListedContainer::created);
  return containers;
}

Result<ListedContainer> find(const StoreOptions& options, std::string_view name_or_id) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const std::string id, find_container(store.get(), name_or_id));
  TRY_ASSIGN(auto container, look_at(options, store, id));
  if (!container) return fail(ErrorKind::kNotFound, "there is no container " + quoted(name_or_id));
  return *std::move(container);
}

Result<void> remove(const StoreOptions& options, std::string_view name_or_id, Force force,
                    OwnVolumes volumes) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const std::string id, find_container(store.get(), name_or_id));
  const std::string state_root = state_root_of(options);
  auto held = hold_container(store.get(), id);
  if (!held) {
    if (held.error().kind() == ErrorKind::kNotFound)
      return fail(ErrorKind::kNotFound, "there is no container " + quoted(name_or_id));
    if (held.error().kind() != ErrorKind::kState) return std::unexpected(std::move(held).error());
    const auto now = look_at(options, store, id);
    if (force == Force::kNo && now && *now &&
        ((*now)->status == ContainerStatus::kExited || (*now)->status == ContainerStatus::kCreated))
      return fail(ErrorKind::kState,
                  "container " + quoted(name_or_id) + " is in the hands of another command",
                  "try again when that has ended: bulkhead cp holds what it copies from or to");
    if (force == Force::kNo)
      return fail(ErrorKind::kState, "container " + quoted(name_or_id) + " is running",
                  "stop it first (bulkhead stop), or give --force, which kills it");
    TRY_ASSIGN(auto freed, end_held(options, store.get(), id));
    if (!freed) return {};
    held = *std::move(freed);
  } else if (force == Force::kNo) {
    // Its monitor was killed, and it lives on.
    TRY_ASSIGN(const LifeRecord life, read_life_record(held->get()));
    if (life.status == LifeStatus::kRunning && live_status(see(options, id)))
      return fail(ErrorKind::kState, "container " + quoted(name_or_id) + " is running",
                  "stop it first (bulkhead stop), or give --force, which kills it");
  }
  TRY(remove_from_runtime(state_root, id));
  TRY(release_memory_volumes(options, store, id));
  remove_monitor_socket(options, id);
  const auto record = read_container_record(held->get());
  const bool recorded = record && *record;
  TRY(recorded ? give_back_recorded(store, **record, volumes) : give_back_all(store, id, volumes));
  record_event(options, recorded ? EventSubject::of(**record) : EventSubject{id, {}, {}, {}},
               "destroy");
  return {};
}

Result<std::vector<std::string>> remove_dead(const StoreOptions& options) {
  TRY_ASSIGN(const auto containers, list(options));
  std::vector<std::string> removed;
  for (const ListedContainer& container : containers) {
    if (container.status != ContainerStatus::kDead) continue;
    TRY(remove(options, container.id, Force::kNo));
    removed.push_back(container.id);
  }
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY(give_back_orphaned_ids(store));
  return removed;
}

}  // namespace bulkhead::engine
