// `start`: releases a container that `create` has left waiting.
#pragma once

#include <string>

#include "runtime/options.h"
#include "runtime/record.h"

namespace bulkhead::runtime {

// Returns when the container has executed its program and the poststart hooks have run. kState when
// it is not in the created state. A program that cannot be executed leaves a stopped container.
Result<void> start_container(const CommonOptions& options, const std::string& id);

// poststart hooks; since runtime-spec 1.3 their failure is the start's failure.
Result<void> run_poststart_hooks(const oci::Spec& spec, const Record& record, HostPid init);

}  // namespace bulkhead::runtime
