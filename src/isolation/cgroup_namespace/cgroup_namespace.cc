#include "isolation/cgroup_namespace/cgroup_namespace.h"

namespace bulkhead::isolation {

Result<CgroupNamespace::Plan> CgroupNamespace::describe(const Request& request,
                                                        const HostFacts& host) {
  return plan_namespace(oci::NamespaceType::kCgroup, request, host);
}

Explanation CgroupNamespace::explain(const Plan& plan) {
  return explain_namespace(plan, "the container sees the names of the host's control groups");
}

SysResult<void> CgroupNamespace::apply(const Plan& plan, ChildContext& child) noexcept {
  return enter_namespace(plan, child);
}

SysResult<void> CgroupNamespace::verify(const Plan& plan, ChildContext& child) noexcept {
  return verify_namespace(plan, child);
}

}  // namespace bulkhead::isolation
