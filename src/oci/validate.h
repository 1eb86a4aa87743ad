// What the runtime-spec demands of a configuration, as far as it can be judged without the host.
// Names that a layer maps to the kernel (capabilities, rlimits, system calls, mount options) are
// checked by that layer.
#pragma once

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::oci {

// The first violation, with the JSON pointer of the field and what to do.
Result<void> validate(const Spec& spec);
// As part of the above, and alone for `exec --process` and `update --resources`.
Result<void> validate_process(const Process& process);
Result<void> validate_resources(const Resources& resources);

}  // namespace bulkhead::oci
