// The NUMA memory policy of a container (linux.memoryPolicy): from which memory nodes its processes get
// their pages. Inherited by fork and kept by execve.
#pragma once

#include <sched.h>

#include <span>
#include <string_view>

#include "base/result.h"
#include "oci/spec.h"
#include "sys/error.h"

namespace bulkhead::isolation {

struct MemoryPolicy {
  int mode = 0;  // MPOL_* with the MPOL_F_* flags
  bool has_nodes = false;
  cpu_set_t nodes{};  // a set of memory nodes; the kernel's masks of both have one form
};

// Refuses names that no kernel has, and nodes where the mode takes none or needs some.
Result<MemoryPolicy> plan_memory_policy(const oci::MemoryPolicy& wish);
// set_mempolicy(2), Linux 2.6.7. EINVAL also for a node that the machine or the cpuset does not have.
SysResult<void> set_memory_policy(const MemoryPolicy& policy) noexcept;
SysResult<void> verify_memory_policy(const MemoryPolicy& policy) noexcept;

// What plan_memory_policy knows, for the features document.
std::span<const std::string_view> memory_policy_modes() noexcept;
std::span<const std::string_view> memory_policy_flags() noexcept;

}  // namespace bulkhead::isolation
