// Where a container that is restored finds what it needs: the mount points in its root, and the groups.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "isolation/cgroup/cgroup.h"
#include "oci/spec.h"

namespace bulkhead::runtime {

// Makes the mount points that are missing in the root, as create does: a checkpoint may be restored
// over another copy of its image.
Result<void> make_mount_points(const oci::Spec& spec, const std::string& root,
                               std::string_view bundle);

// For each hierarchy the group in which the container's own groups begin anew, for CRIU: the plan's, or
// ours where the plan has none. `own_groups`: the text of /proc/self/cgroup.
std::vector<std::pair<std::string, std::string>> cgroup_roots(
    const isolation::CgroupLimits::Plan& plan, std::string_view own_groups);

}  // namespace bulkhead::runtime
