// The end of a container: what it leaves of itself is taken away, and how it ended is written down.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "engine/container_record.h"
#include "engine/options.h"
#include "storage/store.h"
#include "supervise/monitor.h"

namespace bulkhead::engine {

// By the monitor of the container, which holds its lock: cgroups and the runtime's record go, the end is
// recorded, and with --rm the container goes.
Result<void> record_end(const StoreOptions& options, const std::string& id,
                        const supervise::Ended& ended);

// The kernel has killed some of its processes for want of memory.
Result<void> record_kills(const StoreOptions& options, const std::string& id, std::uint64_t kills);

// A container that its record says runs, while nobody stands by it: its monitor was killed. One that
// still lives is left as it is; the end of one that has died meanwhile is written down, as far as it can
// be told. Nothing is done while somebody holds its lock.
Result<void> repair(const StoreOptions& options, const std::string& id);

// What a killed monitor leaves of itself: the name of its socket. For whoever holds the container's lock,
// which a monitor that lives has.
void remove_monitor_socket(const StoreOptions& options, const std::string& id);

// Before a start, under its lock: what an earlier life has left behind. kState when it still runs.
Result<void> end_leftovers(const StoreOptions& options, const std::string& id);

// When it has ended: volumes in memory go with the last container that uses them.
Result<void> release_memory_volumes(const StoreOptions& options, const storage::Store& store,
                                    const std::string& id);

// Kills what lives of it, and removes its cgroups and the runtime's record. Fine when there is nothing.
Result<void> remove_from_runtime(const std::string& state_root, const std::string& id);

}  // namespace bulkhead::engine
