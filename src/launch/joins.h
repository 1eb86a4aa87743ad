// Which namespaces must be entered before the child exists.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "launch/clone.h"
#include "oci/spec.h"

namespace bulkhead::launch {

struct Joins {
  std::vector<NamespaceJoin> files;  // in the order in which to enter them
  std::uint64_t types = 0;           // CLONE_NEW* bits of all of them
  std::array<std::uint64_t, oci::kNamespaceTypeCount> numbers{};  // as ChildContext::entered
};

// A pid namespace that is joined holds only processes made after setns; a user namespace that is
// joined must be entered before a new pid namespace is made, which is then owned by it; and what is
// joined beside a *new* user namespace belongs to somebody whom the container's root cannot
// command, so that the host's privileges must enter it first. All others are left to their layers.
Result<Joins> joins_before_clone(const oci::Spec& spec, bool privileged);

}  // namespace bulkhead::launch
