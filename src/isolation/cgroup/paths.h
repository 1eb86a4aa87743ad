// Where in the hierarchies a container's group lies: the forms of the spec's cgroupsPath.
//
//   "/a/b"               beneath the root of every mounted hierarchy
//   "a/b"                beneath the runtime's own parent group: /bulkhead-runtime/a/b
//   absent               /bulkhead-runtime/<container id>
//   "slice:prefix:name"  systemd's form: refused with the cgroupfs driver
//
// A caller without privilege on the host has the runtime's parent group beneath its own group,
// which is the one place that can have been delegated to it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::isolation::cgroup {

inline constexpr std::string_view kRuntimeParent = "/bulkhead-runtime";

struct GroupPath {
  std::string path;             // "/a/b", without "." and empty parts
  bool beneath_parent = false;  // to be put beneath the runtime's parent group
};

Result<GroupPath> group_path(std::string_view cgroups_path, std::string_view container_id);

}  // namespace bulkhead::isolation::cgroup
