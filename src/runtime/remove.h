// Taking a container away, whatever state it is in.
#pragma once

#include <vector>

#include "base/result.h"
#include "runtime/record.h"

namespace bulkhead::runtime {

// Kills what lives, removes groups and record, then runs the poststop hooks, whose failures are the
// list. Needs the container's lock.
Result<std::vector<Error>> remove_container(ContainerDirectory directory, const Record& record,
                                            const Observation& observation);

}  // namespace bulkhead::runtime
