// What the specification offers and this build has no layer for: refused by name, because a wish
// that is read and then forgotten is worse than one that is refused.
#pragma once

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::runtime {

// kUnsupported with the field's place, for the first such wish.
Result<void> refuse_unsupported(const oci::Spec& spec);

}  // namespace bulkhead::runtime
