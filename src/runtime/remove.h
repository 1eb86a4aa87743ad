// Taking a container away, whatever state it is in.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "isolation/cgroup/parent.h"
#include "oci/spec.h"
#include "runtime/record.h"

namespace bulkhead::runtime {

// Kills what lives, removes groups and record, then runs the poststop hooks, whose failures are the
// list. Needs the container's lock.
Result<std::vector<Error>> remove_container(ContainerDirectory directory, const Record& record,
                                            const Observation& observation);

// The end of it, for a container whose init is dead: what is left in its groups, the groups, the
// record, and then the poststop hooks.
Result<std::vector<Error>> remove_stopped(ContainerDirectory directory, const Record& record,
                                          const isolation::CgroupSet& groups,
                                          std::span<const oci::Hook> poststop);

}  // namespace bulkhead::runtime
