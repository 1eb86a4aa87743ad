// Containers after and beside `run`: listing them, and taking them away.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/options.h"
#include "engine/storage_record.h"

namespace bulkhead::engine {

enum class ContainerStatus {
  kRunning,
  kExited,  // kept after its end
  kDead,    // its engine was killed: nobody stands by it any more
};
std::string_view name_of(ContainerStatus status);

struct ListedContainer {
  std::string id;
  std::string name;
  std::string image;
  std::string started;
  ContainerStatus status = ContainerStatus::kDead;
  int exit_code = 0;  // of an exited one
  StorageRecord storage;
};

Result<std::vector<ListedContainer>> list(const StoreOptions& options);

enum class Force {
  kNo,
  kKill,  // also one that still runs
};
// By name, id or the beginning of an id. What its engine could not give back any more is given back
// here: processes, cgroups, directory, name, ids.
Result<void> remove(const StoreOptions& options, std::string_view name_or_id, Force force);
// All dead ones; their ids.
Result<std::vector<std::string>> remove_dead(const StoreOptions& options);

}  // namespace bulkhead::engine
