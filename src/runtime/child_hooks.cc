#include "runtime/child_hooks.h"

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

// A process's number in its own pid namespace: the last of NSpid in /proc/PID/status.
Result<std::int32_t> innermost_pid_of(HostPid pid) {
  const std::string path = "/proc/" + std::to_string(pid.value()) + "/status";
  TRY_ASSIGN(const std::string status, read_file_at(AT_FDCWD, path.c_str()));
  std::string_view rest = status;
  while (!rest.empty()) {
    const std::string_view line = next_field(rest, '\n');
    if (!line.starts_with("NSpid:")) continue;
    if (const auto number = parse_number<std::int32_t>(line.substr(line.rfind('\t') + 1)))
      return *number;
  }
  return fail(ErrorKind::kSystem, path + ": there is no line NSpid");
}

}  // namespace

oci::State state_of(const Record& record, oci::Status status, HostPid pid) {
  oci::State state;
  state.oci_version = record.oci_version;
  state.id = record.id;
  state.status = status;
  state.pid = pid.value();
  state.bundle = record.bundle;
  state.annotations = record.annotations;
  state.rootfs = record.rootfs;
  state.created = record.created;
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
  if (empty()) return {};
  oci::State state = state_of(record, oci::Status::kCreating, pid);
  // Hooks in the container's namespaces are told the number that they can look up there.
  if (record.own_pid_namespace) {
    state.pid = 1;
  } else {
    TRY_ASSIGN(state.pid, innermost_pid_of(pid));
  }
  if (!create_.empty()) TRY(create_.write_state(oci::encode(state)));
  state.status = oci::Status::kCreated;
  if (!start_.empty()) TRY(start_.write_state(oci::encode(state)));
  return {};
}

}  // namespace bulkhead::runtime
