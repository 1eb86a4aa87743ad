#include "isolation/ipc/ipc.h"

namespace bulkhead::isolation {

Result<IpcNamespace::Plan> IpcNamespace::describe(const Request& request, const HostFacts& host) {
  return plan_namespace(oci::NamespaceType::kIpc, request, host);
}

Explanation IpcNamespace::explain(const Plan& plan) {
  return explain_namespace(plan, "the container reaches the host's System V IPC objects");
}

SysResult<void> IpcNamespace::apply(const Plan& plan, ChildContext& child) noexcept {
  return enter_namespace(plan, child);
}

SysResult<void> IpcNamespace::verify(const Plan& plan, ChildContext& child) noexcept {
  return verify_namespace(plan, child);
}

}  // namespace bulkhead::isolation
