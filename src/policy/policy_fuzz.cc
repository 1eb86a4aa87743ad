// A policy file: whatever is taken keeps its promises, and judging by it ends.
#include <cstdlib>

#include "policy/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead;
  const auto policy = policy::parse_policy({reinterpret_cast<const char*>(data), size});
  if (!policy) return 0;
  for (const std::string& tree : policy->host_mounts)
    if (!tree.starts_with('/') || (tree + "/").find("/../") != std::string::npos) std::abort();
  if (policy->memory_bytes.value_or(1) <= 0 || policy->processes.value_or(1) <= 0 ||
      policy->milli_cpus.value_or(1) <= 0)
    std::abort();
  // Nothing at all is the least isolated container: every rule has something against it.
  const oci::Spec nothing;
  const auto found = policy::violations(
      *policy, {.spec = nothing, .container = {}, .image = {}, .own_mounts = {}});
  if (policy->forbids(policy::Rule::kHostNetwork) && found.empty()) std::abort();
  if (policy->memory_bytes && found.empty()) std::abort();
  return 0;
}
