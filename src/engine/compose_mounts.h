// The container's mounts: the kernel's file systems, then what the user asked for.
#pragma once

#include <vector>

#include "engine/wish.h"
#include "oci/spec.h"

namespace bulkhead::engine {

std::vector<oci::Mount> compose_mounts(const Wish& wish);

}  // namespace bulkhead::engine
