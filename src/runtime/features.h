// What this build and this kernel can do, for `features`.
#pragma once

#include <string_view>

#include "base/result.h"
#include "isolation/host_facts.h"
#include "oci/features.h"

namespace bulkhead::runtime {

// The features document. What depends on the kernel (namespaces, seccomp flags, idmapped mounts) is
// listed only when the kernel has it.
oci::Features features(const isolation::HostFacts& host, std::string_view version,
                       std::string_view commit);

}  // namespace bulkhead::runtime
