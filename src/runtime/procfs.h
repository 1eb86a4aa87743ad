// The procfs that a launch trusts.
#pragma once

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead::runtime {

// O_PATH of /proc, checked to be the root of a procfs: opened before anything of a container is
// reachable, and passed on by descriptor, so that no mount in a container can stand in for it
// (CVE-2019-16884, CVE-2025-52881).
Result<Fd> open_procfs();

}  // namespace bulkhead::runtime
