// What containers use and which processes they have, for `stats` and `top`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/containers.h"
#include "engine/options.h"

namespace bulkhead::engine {

// One look into the cgroup files. An absent value is one that this host does not account.
struct Figures {
  std::int64_t when = 0;  // nanoseconds, monotonic
  std::optional<std::uint64_t> cpu_ns;
  std::optional<std::uint64_t> memory;  // without the page cache that can go at once
  std::optional<std::uint64_t> memory_limit;
  std::optional<std::uint64_t> processes;
  std::uint64_t read_bytes = 0;
  std::uint64_t written_bytes = 0;
};
Result<Figures> figures_of(const StoreOptions& options, const ListedContainer& container);

struct ProcessLine {
  std::string user;  // the id on the host
  std::int32_t pid = 0;
  std::int32_t parent = 0;
  std::int64_t started = 0;  // seconds since 1970
  std::uint64_t cpu_seconds = 0;
  std::uint32_t cpu_percent = 0;  // of its life
  std::string terminal;           // "?" for none
  std::string command;            // hostile
};
Result<std::vector<ProcessLine>> processes_of(const StoreOptions& options,
                                              const ListedContainer& container);

}  // namespace bulkhead::engine
