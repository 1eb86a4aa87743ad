// Starting the processes of confinement.h, and hearing how they ended.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead::storage {

struct Pipe {
  Fd out;
  Fd in;
  static Result<Pipe> make();
};

struct Worker {
  pid_t pid = -1;
  std::string_view name;
};

// Descriptors of a worker by number, once it has arranged them.
inline constexpr int kInput = 0;
inline constexpr int kOutput = 1;
inline constexpr int kReport = 2;
inline constexpr int kDirectory = 3;
inline constexpr int kActs = 4;

struct WorkerDescriptors {
  int input = -1;
  int output = -1;  // -1: none; the number then is the report's, too
  int report = -1;
  int directory = -1;  // -1: none, like
  int acts = -1;       // this one
};

// Forks a process that has these descriptors and no others, dies with its parent, and writes what
// `work` returns, or its failure (worker_report.h), to the report. The caller is single-threaded.
Result<Worker> start_worker(std::string_view name, const WorkerDescriptors& descriptors,
                            const std::function<Result<std::string>()>& work);

enum class Ending { kAwaited, kForced };
// Waits for its end. An error unless it exited with 0.
Result<void> finish(const Worker& worker, Ending ending);

}  // namespace bulkhead::storage
