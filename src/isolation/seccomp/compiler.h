// From decisions to a classic BPF program: a search tree over ranges of system call numbers.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "isolation/seccomp/decisions.h"

namespace bulkhead::isolation::seccomp {

// The program always checks the ABI before anything else, so that a number never means a call of
// another ABI. kUnsupported when it exceeds what the kernel takes (BPF_MAXINSNS, 4096
// instructions).
Result<std::vector<sock_filter>> compile(const Decisions& decisions);

}  // namespace bulkhead::isolation::seccomp
