// The configuration that `spec` prints: a start for one's own, and a container that is well
// isolated as it stands.
#pragma once

#include "oci/spec.h"

namespace bulkhead::oci {

Spec default_spec();

// For a user without privileges: a user namespace in which `uid` and `gid` are root, /sys bound
// from the host, and no cgroup limits.
Spec default_rootless_spec(std::uint32_t uid, std::uint32_t gid);

// What of /proc and /sys tells about the host, or acts on it, and breaks no common program.
std::vector<std::string> default_masked_paths();
std::vector<std::string> default_readonly_paths();

}  // namespace bulkhead::oci
