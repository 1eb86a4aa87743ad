// Containers after and beside `run`: listing them, and taking them away.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/container_record.h"
#include "engine/holdings.h"
#include "engine/options.h"
#include "engine/storage_record.h"
#include "storage/store.h"

namespace bulkhead::engine {

enum class ContainerStatus {
  kCreated,
  kRunning,
  kPaused,
  kRestarting,  // its monitor is about to start it again
  kExited,      // kept after its end
  kDead,        // the `bulkhead run` that stood by it in the foreground was killed
};
std::string_view name_of(ContainerStatus status);

struct ListedContainer {
  std::string id;
  std::string name;
  std::string image;
  std::string created;
  std::string started;
  ContainerStatus status = ContainerStatus::kDead;
  int pid = 0;                     // of its first process; 0: none
  std::string stop_signal;         // "" for SIGTERM
  std::int64_t stop_timeout = 10;  // seconds; -1: for ever
  // Nothing for one that runs in the foreground of a `bulkhead run`.
  std::optional<ContainerRecord> record;
  std::vector<std::string> arguments;  // of one in the foreground: what runs
  LifeRecord life;
  std::optional<HealthRecord> health;  // nothing without a health check
  StorageRecord storage;
};

// What is written down of it, corrected by what the kernel says. The record of one whose monitor was
// killed is repaired on the way; nothing when it has gone meanwhile.
Result<std::optional<ListedContainer>> look_at(const StoreOptions& options,
                                               const storage::Store& store, const std::string& id);
// The youngest first.
Result<std::vector<ListedContainer>> list(const StoreOptions& options);
// By name, id or the beginning of an id. kNotFound.
Result<ListedContainer> find(const StoreOptions& options, std::string_view name_or_id);

bool runs(ContainerStatus status);  // kRunning, kPaused

enum class Force {
  kNo,
  kKill,  // also one that still runs
};
// By name, id or the beginning of an id. What its engine could not give back any more is given back
// here: processes, cgroups, directory, name, ids. With kRemove its anonymous volumes go, too.
Result<void> remove(const StoreOptions& options, std::string_view name_or_id, Force force,
                    OwnVolumes volumes = OwnVolumes::kKeep);
// All dead ones; their ids.
Result<std::vector<std::string>> remove_dead(const StoreOptions& options);

}  // namespace bulkhead::engine
