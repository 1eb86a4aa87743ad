// The container's mounts: the kernel's file systems, then what the user asked for.
#pragma once

#include <string>
#include <vector>

#include "engine/wish.h"
#include "oci/spec.h"

namespace bulkhead::engine {

// `init`: the file of bulkhead-init on the host, for a wish that wants it.
std::vector<oci::Mount> compose_mounts(const Wish& wish, const std::string& init);

}  // namespace bulkhead::engine
