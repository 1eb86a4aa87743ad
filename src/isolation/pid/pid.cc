#include "isolation/pid/pid.h"

#include <unistd.h>

namespace bulkhead::isolation {

Result<PidNamespace::Plan> PidNamespace::describe(const Request& request, const HostFacts& host) {
  return plan_namespace(oci::NamespaceType::kPid, request, host);
}

Explanation PidNamespace::explain(const Plan& plan) {
  return explain_namespace(plan, "the container sees and may signal the host's processes");
}

SysResult<void> PidNamespace::apply(const Plan& plan, ChildContext& child) noexcept {
  return verify(plan, child);
}

SysResult<void> PidNamespace::verify(const Plan& plan, ChildContext& child) noexcept {
  // Only the process for which a pid namespace was made is number 1 in it.
  if (plan.wish == NamespaceWish::kNew && ::getpid() != 1)
    return not_held("the process is not the first of a pid namespace");
  if (plan.wish == NamespaceWish::kPath) return verify_namespace(plan, child);
  return {};
}

}  // namespace bulkhead::isolation
