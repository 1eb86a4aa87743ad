// The container's mounts: the kernel's file systems, then what the user asked for.
#pragma once

#include <string>
#include <vector>

#include "engine/compose.h"
#include "oci/spec.h"

namespace bulkhead::engine {

std::vector<oci::Mount> compose_mounts(const Wish& wish, const Circumstances& circumstances);

}  // namespace bulkhead::engine
