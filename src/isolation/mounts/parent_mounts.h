// The parent's half of the mounts: detached mounts that only the host's privileges can make.
// Sources behind directories that a user namespace may not walk, idmapped mounts, and volumes that
// stay in the host's peer group ("shared").
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "isolation/layer.h"
#include "isolation/mounts/plan.h"

namespace bulkhead::isolation {

struct ParentMountsPlan {
  // The root, when it is the parent who opens it (but not when the engine brings it).
  std::optional<std::string> root;
  std::vector<MountPlan> mounts;  // of method kFromParent, in the order of their numbers
  bool empty() const { return !root && mounts.empty(); }
};

Result<ParentMountsPlan> describe_parent_mounts(const Request& request, const HostFacts& host);

// Makes them all, in the order in which the child counts them: the root first, if there is one,
// then the mounts. What the engine brings as the root (Request::root_from_parent) goes before them.
// `user_namespace` is the container's (-1: it has none of its own); opened once its id maps are
// written.
Result<std::vector<Fd>> make_parent_mounts(const ParentMountsPlan& plan, int user_namespace);

// A user namespace that exists only as these mappings, for whoever holds the descriptor.
Result<Fd> make_user_namespace(const std::vector<oci::IdMapping>& uids,
                               const std::vector<oci::IdMapping>& gids);

}  // namespace bulkhead::isolation
