// A container whose monitor was killed gets a new one: its output is read again, a full pipe no longer
// stops it, its health is checked and its restart policy kept.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "engine/container_record.h"
#include "engine/options.h"
#include "engine/run.h"
#include "supervise/handover.h"
#include "sys/fd.h"

namespace bulkhead::engine {

// For a command that has come across such a container: has another process of this program do it, and
// waits until it is done. The container's lock must be free. Without it the container runs on as it is.
void have_adopted(const StoreOptions& options, const std::string& id);

// By that process: a monitor that takes the container over.
Result<void> adopt(const StoreOptions& options, const std::string& id, const Warn& warn);

// What a monitor of a container that runs needs; `directory` carries the lock.
Result<supervise::Launched> take_over(const StoreOptions& options, const ContainerRecord& record,
                                      Fd directory);

// The number of a pipe, under which it is found again.
Result<std::uint64_t> pipe_number(int fd);

}  // namespace bulkhead::engine
