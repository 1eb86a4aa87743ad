// The wish: the OCI spec and what the caller of the runtime asks for beside it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "oci/spec.h"
#include "sys/fd.h"

namespace bulkhead::isolation {

enum class CgroupDriver { kCgroupfs, kSystemd, kDisabled };
enum class RootSwitchMethod { kPivotRoot, kMoveMount };  // kMoveMount: --no-pivot

// What the spec says was asked for by somebody, and is applied or refused; these mark what stands in
// a spec only because `bulkhead` put it there as a default. Such a limit, LSM profile or Landlock
// rule set is left out, with a warning, where the host cannot offer it.
struct Defaults {
  bool cgroup_limits = false;
  bool lsm_profile = false;
  bool landlock = false;
};

// A detached mount that the engine brings in place of the source of the specification's bind mount on
// `destination`.
struct HandedMount {
  std::string destination;
  Fd mount;
};

struct Request {
  const oci::Spec& spec;
  std::string container_id;
  std::string bundle;  // absolute; relative root.path and bind sources are resolved against it
  RootSwitchMethod root_switch = RootSwitchMethod::kPivotRoot;
  CgroupDriver cgroup_driver = CgroupDriver::kCgroupfs;
  bool new_session_keyring = true;
  std::uint32_t preserved_descriptors = 0;  // 3 to 3 + n - 1 are the workload's
  // The parent hands over a detached mount as the root file system (descriptor 0 of the parent's
  // mounts) instead of spec.root.path: how the engine gives an idmapped overlay.
  bool root_from_parent = false;
  // Descriptors of detached mounts (HandedMount) by destination. The request does not own them.
  std::map<std::string, int> handed_mounts;
  // exec into a running container: namespaces, mounts and cgroups are joined, not made.
  bool joining = false;
  Defaults defaults;
};

}  // namespace bulkhead::isolation
