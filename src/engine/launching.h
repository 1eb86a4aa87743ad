// The launcher's part of a detached container: from its record, or from a command line, to a process
// that a monitor stands by.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "engine/container_record.h"
#include "engine/options.h"
#include "oci/spec.h"
#include "storage/snapshot.h"
#include "supervise/handover.h"
#include "sys/fd.h"

namespace bulkhead::engine {

struct ToLaunch {
  const StoreOptions& store;
  const std::string& bundle;  // the store's path
  const ContainerRecord& record;
  const std::string& config;  // config.json
  oci::Spec& spec;            // the same, decoded
  const storage::Snapshot& snapshot;
  const Fd& directory;  // of the container; carries the lock
  std::span<const isolation::HandedMount> handed_mounts = {};
  std::uint32_t restarts = 0;
};

// What a monitor keeps to.
supervise::Settings settings_of(const ContainerRecord& record);

// When it returns, a monitor stands by the container, and its record says that it runs. On failure the
// container is as it was before.
Result<void> launch_for_monitor(const ToLaunch& container, const supervise::Handover& handover);

// For who stands by it to be told of kills for want of memory; empty where the kernel does not tell.
supervise::OomNotice watch_memory(std::span<const std::string> groups);

}  // namespace bulkhead::engine
