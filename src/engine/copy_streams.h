// The data of `cp` on its way.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead::engine {

using CopyProgress = std::function<void(std::uint64_t)>;

struct DataPipe {
  Fd out;
  Fd in;
  static Result<DataPipe> make();
};

// Everything, until the end; how many bytes.
Result<std::uint64_t> pump(int from, int to, const CopyProgress& progress);
// The same of an archive that a user gives: one that is compressed is refused.
Result<std::uint64_t> pump_archive(int from, int to, const CopyProgress& progress);

// Until the socket is readable, with a look at the counter now and then.
Result<void> wait_for_answer(int socket, const std::atomic<std::uint64_t>& counter,
                             const CopyProgress& progress);

}  // namespace bulkhead::engine
