// Processes as "ps -ef" shows them, read from /proc.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/id.h"

namespace bulkhead::cli {

// Processes that are gone by now are left out.
std::string process_table(std::span<const HostPid> pids);

// "tty1", "pts/3", "?" for a device number of /proc/PID/stat. For tests.
std::string terminal_name(unsigned device);
// "01:02:03" or "2-01:02:03". For tests.
std::string cpu_time(std::uint64_t seconds);

}  // namespace bulkhead::cli
