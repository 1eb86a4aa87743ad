// How a container ended, for people, scripts (--result) and the record of a container that is kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "sys/pidfd.h"

namespace bulkhead::engine {

struct RunResult {
  std::string id;
  std::string name;
  std::string image;
  std::string started;  // RFC 3339
  std::string finished;
  ExitStatus exit;
  bool oom_killed = false;  // some process of it, not only the first
  std::uint64_t oom_kills = 0;
  std::string oom_victim;  // the last one, where the kernel's log names it
  bool timed_out = false;
  bool output_limited = false;  // ended for writing more than --output-limit
  // Absent where this host's cgroups do not account them.
  std::optional<std::uint64_t> peak_memory_bytes;
  std::optional<std::uint64_t> cpu_nanoseconds;
  std::optional<std::uint64_t> cpu_user_nanoseconds;
  std::optional<std::uint64_t> cpu_system_nanoseconds;
};

std::string encode(const RunResult& result);

// Whole or not at all: whoever waits for the file never reads a part of it.
Result<void> write_result_file(const std::string& path, const RunResult& result);
// Whether the file could be written, asked before anything else is done.
Result<void> check_result_file(const std::string& path);

}  // namespace bulkhead::engine
