// What CRIU cannot bring back, or would bring back without saying so in another form.
#pragma once

#include <string_view>

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::runtime {

// kUnsupported, with the field and what to do. The same for a checkpoint and for a restore.
Result<void> refuse_uncheckpointable(const oci::Spec& spec);
// The same of a process that runs, by the text of its /proc/PID/status.
Result<void> refuse_uncheckpointable_process(std::string_view status);

}  // namespace bulkhead::runtime
