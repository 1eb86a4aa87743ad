// Events as JSON lines, in the form that runc's `events` gave the world.
#pragma once

#include <string>
#include <string_view>

#include "isolation/cgroup/stats.h"

namespace bulkhead::cli {

std::string stats_event(std::string_view id, const isolation::CgroupStats& stats);
std::string oom_event(std::string_view id);

}  // namespace bulkhead::cli
