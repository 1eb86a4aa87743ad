// Containers that live on without the command that started them: `run -d`, `create` and `start`.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "engine/options.h"
#include "engine/run.h"
#include "sys/fd.h"

namespace bulkhead::engine {

// Streams of supervise/protocol.h, to which the caller is attached from the first byte on.
struct EarlyAttach {
  Fd monitors_end;
  std::uint8_t streams = 0;
};

// A new container with a monitor; its id. On failure nothing of it is left.
Result<std::string> run_detached(RunOptions options, const Warn& warn, EarlyAttach attach = {});

// A new container that waits for its `start`; its id.
Result<std::string> create(const RunOptions& options, const Warn& warn);

// Starts one that is not running, by its full id. kState when it runs.
Result<void> start(const StoreOptions& options, const std::string& id, const Warn& warn,
                   EarlyAttach attach = {});

std::string monitor_directory(const StoreOptions& options);

}  // namespace bulkhead::engine
