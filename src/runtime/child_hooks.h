// The hooks that run in the container's namespaces, and the state that they read.
#pragma once

#include <array>
#include <span>
#include <string>

#include "launch/child.h"
#include "oci/state.h"
#include "runtime/hooks.h"
#include "runtime/record.h"

namespace bulkhead::runtime {

// The state document of the runtime-spec for a container in this status.
oci::State state_of(const Record& record, oci::Status status, HostPid pid);

// createContainer and startContainer hooks behind launch's interface.
class ContainerHooks final : public launch::ChildHooks {
 public:
  static Result<ContainerHooks> prepare(const oci::Spec& spec);

  bool empty() const noexcept { return create_.empty() && start_.empty(); }
  // In the parent, when the pid is known and before the child is told to go on.
  Result<void> write_states(const Record& record, HostPid pid) const;

  SysResult<void> run_create_container() noexcept override { return create_.run(); }
  SysResult<void> run_start_container() noexcept override { return start_.run(); }
  std::span<const int> descriptors() const noexcept override { return descriptors_; }

 private:
  PreparedHooks create_;
  PreparedHooks start_;
  std::array<int, 2> descriptors_ = {-1, -1};
};

}  // namespace bulkhead::runtime
