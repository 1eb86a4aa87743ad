// Whether a container that CRIU has put back is as isolated as its configuration says. CRIU restores
// what its images hold and its version knows; what it leaves out, it does not always tell. So the
// kernel is asked, while all processes still stand still.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "isolation/host_facts.h"
#include "oci/spec.h"
#include "sys/fd.h"

namespace bulkhead::runtime {

// One process, by the text of its /proc/PID/status: no-new-privileges, seccomp, and no capability
// beyond those that the configuration's process may ever have.
Result<void> check_restored_status(const oci::Spec& spec, std::string_view status);

// The first process's namespaces, by their numbers and ours: those that are the container's own must
// not be ours, all others must.
using NamespaceNumbers = std::array<std::uint64_t, oci::kNamespaceTypeCount>;
Result<void> check_restored_namespaces(const oci::Spec& spec, const NamespaceNumbers& ours,
                                       const NamespaceNumbers& its);

// Mounts with their flags, masks and read-only paths, as seen beneath `root`, the container's.
Result<void> check_restored_mounts(const oci::Spec& spec, int root);

// All of it, for the processes given; the first one is the container's first process.
// `label`: what its LSM label is to begin with; empty: not checked.
Result<void> check_restored(const oci::Spec& spec, const isolation::HostFacts& host,
                            const std::vector<HostPid>& processes, std::string_view label);

}  // namespace bulkhead::runtime
