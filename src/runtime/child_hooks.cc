#include "runtime/child_hooks.h"

namespace bulkhead::runtime {

oci::State state_of(const Record& record, oci::Status status, HostPid pid) {
  oci::State state;
  state.oci_version = record.oci_version;
  state.id = record.id;
  state.status = status;
  state.pid = pid.value();
  state.bundle = record.bundle;
  state.annotations = record.annotations;
  return state;
}

Result<ContainerHooks> ContainerHooks::prepare(const oci::Spec& spec) {
  ContainerHooks hooks;
  if (!spec.hooks) return hooks;
  TRY_ASSIGN(hooks.create_,
             PreparedHooks::prepare(HookStage::kCreateContainer, spec.hooks->create_container));
  TRY_ASSIGN(hooks.start_,
             PreparedHooks::prepare(HookStage::kStartContainer, spec.hooks->start_container));
  hooks.descriptors_ = {hooks.create_.state_descriptor(), hooks.start_.state_descriptor()};
  return hooks;
}

Result<void> ContainerHooks::write_states(const Record& record, HostPid pid) const {
  if (!create_.empty())
    TRY(create_.write_state(oci::encode(state_of(record, oci::Status::kCreating, pid))));
  if (!start_.empty())
    TRY(start_.write_state(oci::encode(state_of(record, oci::Status::kCreated, pid))));
  return {};
}

}  // namespace bulkhead::runtime
