// Which cgroup hierarchies this process can reach, and where it stands in each.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "isolation/host_facts.h"

namespace bulkhead::isolation {

// From the texts of /proc/self/mountinfo and /proc/self/cgroup; pure. Of several mounts of one
// hierarchy the one that shows most of it and is not hidden beneath another mount is taken. Lines
// that are not in the format of proc(5) are skipped. The controllers of the v2 hierarchy are left
// empty.
std::vector<CgroupHierarchy> parse_cgroup_hierarchies(std::string_view mountinfo,
                                                      std::string_view own_groups);

// Reads both files, and the v2 controllers.
Result<std::vector<CgroupHierarchy>> discover_cgroup_hierarchies();

}  // namespace bulkhead::isolation
