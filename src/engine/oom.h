// What the kernel killed in a container for want of memory: counted by the container's group, and named by
// the kernel's log, where that can be read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/events.h"
#include "engine/options.h"

namespace bulkhead::engine {

struct OomVictim {
  std::string process;  // its name, as it has called itself
  std::string pid;      // of the host
  std::string group;    // whose limit it was
};

// From a line of the kernel's log; nothing for any other line, and for a kill in another group than the
// container's.
std::optional<OomVictim> read_oom_line(std::string_view line, std::string_view container);

// The last process of the container that was killed: "python3 (pid 4711)"; empty where the log does not
// say.
std::string last_victim(const std::string& container);

// An "oom" event for each of `kills`, with `process`, `pid` and `cgroup` of those that the log names.
void record_oom(const StoreOptions& options, const EventSubject& subject, std::uint64_t kills);

}  // namespace bulkhead::engine
