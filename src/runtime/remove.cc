#include "runtime/remove.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/text.h"
#include "isolation/cgroup/resctrl.h"
#include "oci/decode.h"
#include "runtime/child_hooks.h"
#include "runtime/hooks.h"
#include "runtime/systemd_scope.h"

namespace bulkhead::runtime {
namespace {

constexpr int kDeathPatienceMilliseconds = 10'000;

Result<void> kill_init(const Record& record, const Observation& observation,
                       const isolation::CgroupSet& groups) {
  auto init = ContainerDirectory::hold(observation.init);
  if (!init && init.error().kind() == ErrorKind::kNotFound) return {};
  if (!init) return std::unexpected(std::move(init).error());
  if (auto sent = init->send_signal(SIGKILL); !sent && sent.error().error != ESRCH)
    return std::unexpected(Error(sent.error()).within("killing container " + quoted(record.id)));
  // A frozen v1 group does not die of it.
  if (observation.status == Status::kPaused) TRY(groups.thaw());
  struct pollfd item{init->get(), POLLIN, 0};
  for (;;) {
    const int ready = ::poll(&item, 1, kDeathPatienceMilliseconds);
    if (ready > 0) return {};
    if (ready == 0)
      return fail(ErrorKind::kState,
                  "the first process of container " + quoted(record.id) + " (pid " +
                      std::to_string(init->pid().value()) + ") does not die",
                  "it waits in the kernel, most often for a file system that does not answer");
    if (errno != EINTR) return std::unexpected(Error(SysError{"poll", errno}));
  }
}

// The groups, and whoever still lives in them: processes of a container without a pid namespace of
// its own, or ones that were put there from outside.
Result<void> remove_groups(const Record& record, const isolation::CgroupSet& groups) {
  TRY(isolation::remove_resctrl(record.resctrl_directories));
  if (groups.empty()) return stop_scope(record);
  if (!record.own_pid_namespace) TRY(groups.signal_all(SIGKILL));
  auto removed = groups.remove(record.found_cgroups);
  if (!removed && removed.error().kind() == ErrorKind::kState) {
    TRY(groups.signal_all(SIGKILL));
    removed = groups.remove(record.found_cgroups);
  }
  TRY(removed);
  return stop_scope(record);
}

// Create was killed before its process could join the groups, perhaps before it had found them taken:
// processes in them are another container's, and so are the groups then.
Result<void> remove_groups_if_empty(const Record& record, const isolation::CgroupSet& groups) {
  if (groups.empty()) return {};
  constexpr int kPatienceMilliseconds = 1'000;  // for a child that dies with its create
  for (int waited = 0;; waited += 10) {
    TRY_ASSIGN(const std::vector<HostPid> processes, groups.processes());
    if (processes.empty()) break;
    if (waited >= kPatienceMilliseconds) return {};
    ::poll(nullptr, 0, 10);
  }
  auto removed = groups.remove(record.found_cgroups);
  if (!removed && removed.error().kind() != ErrorKind::kState) return removed;
  return {};
}

Result<oci::Spec> configuration_for_hooks(const ContainerDirectory& directory,
                                          const Record& record) {
  if (!record.has_poststop_hooks) return oci::Spec{};
  TRY_ASSIGN(const std::string json, directory.read_config());
  return oci::decode_spec(json);
}

}  // namespace

Result<std::vector<Error>> remove_container(ContainerDirectory directory, const Record& record,
                                            const Observation& observation) {
  TRY_ASSIGN(const isolation::CgroupSet groups,
             isolation::CgroupSet::open(record.cgroup_directories));
  const bool joined = observation.init.pid.value() > 0;
  if (observation.status != Status::kStopped && joined) TRY(kill_init(record, observation, groups));
  if (!joined) TRY(remove_groups_if_empty(record, groups));
  const isolation::CgroupSet none;
  auto spec = configuration_for_hooks(directory, record);
  TRY_ASSIGN(
      std::vector<Error> errors,
      remove_stopped(std::move(directory), record, joined ? groups : none,
                     spec && spec->hooks ? spec->hooks->poststop : std::vector<oci::Hook>()));
  if (!spec) errors.push_back(std::move(spec).error().within("the poststop hooks are lost"));
  return errors;
}

Result<std::vector<Error>> remove_stopped(ContainerDirectory directory, const Record& record,
                                          const isolation::CgroupSet& groups,
                                          std::span<const oci::Hook> poststop) {
  TRY(remove_groups(record, groups));
  TRY(std::move(directory).remove());
  if (poststop.empty()) return std::vector<Error>();
  const std::string state = oci::encode(state_of(record, Status::kStopped, HostPid(0)));
  return run_all_hooks(HookStage::kPoststop, poststop, state);
}

}  // namespace bulkhead::runtime
