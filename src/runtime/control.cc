#include "runtime/control.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/text.h"
#include "runtime/child_hooks.h"
#include "runtime/remove.h"
#include "runtime/systemd_scope.h"
#include "runtime/user_names.h"

namespace bulkhead::runtime {
namespace {

struct Known {
  ContainerDirectory directory;
  Record record;
  Observation observation;
};

enum class Lock { kNone, kTake };

Result<Known> look_up(const std::string& state_root, std::string_view id, Lock lock) {
  TRY_ASSIGN(ContainerDirectory directory, lock == Lock::kTake
                                               ? ContainerDirectory::open_locked(state_root, id)
                                               : ContainerDirectory::open(state_root, id));
  TRY_ASSIGN(Record record, directory.read_record());
  TRY_ASSIGN(const Observation observation, directory.observe(record));
  return Known{std::move(directory), std::move(record), observation};
}

bool lives(Status status) {
  return status == Status::kCreated || status == Status::kRunning || status == Status::kPaused;
}

Error wrong_status(std::string_view what, const Known& known) {
  return {ErrorKind::kState, "cannot " + std::string(what) + " container " +
                                 quoted(known.record.id) + ": it is " +
                                 std::string(oci::name_of(known.observation.status))};
}

Result<isolation::CgroupSet> groups_of(const Record& record, std::string_view purpose) {
  TRY_ASSIGN(isolation::CgroupSet groups, isolation::CgroupSet::open(record.cgroup_directories));
  if (groups.empty())
    return fail(ErrorKind::kUnsupported, "container " + quoted(record.id) +
                                             " has no cgroups of its own, which " +
                                             std::string(purpose) + " needs");
  return groups;
}

// Signals to every process: those of the groups or, where there are none, the init, with which all
// of a pid namespace dies.
Result<void> signal_every_process(const Known& known, int signal) {
  TRY_ASSIGN(const isolation::CgroupSet groups,
             isolation::CgroupSet::open(known.record.cgroup_directories));
  if (!groups.empty()) return groups.signal_all(signal);
  if (!lives(known.observation.status)) return {};
  if (signal != SIGKILL || !known.record.own_pid_namespace)
    return fail(ErrorKind::kUnsupported,
                "container " + quoted(known.record.id) +
                    " has no cgroups of its own, so its processes are not known");
  TRY_ASSIGN(const PidFd init, ContainerDirectory::hold(known.observation.init));
  TRY(init.send_signal(signal));
  return {};
}

}  // namespace

oci::State to_state(const Record& record, const Observation& observation) {
  const bool stopped = observation.status == Status::kStopped;
  return state_of(record, observation.status, stopped ? HostPid(0) : observation.init.pid);
}

Result<oci::State> container_state(const std::string& state_root, std::string_view id) {
  TRY_ASSIGN(const Known known, look_up(state_root, id, Lock::kNone));
  return to_state(known.record, known.observation);
}

Result<std::vector<oci::State>> list_containers(const std::string& state_root) {
  TRY_ASSIGN(const std::vector<std::string> ids, ContainerDirectory::list(state_root));
  std::vector<oci::State> states;
  for (const std::string& id : ids) {
    auto directory = ContainerDirectory::open(state_root, id);
    if (!directory) continue;
    Record record;
    record.id = id;
    if (auto known = directory->read_record()) record = *std::move(known);
    auto observation = directory->observe(record);
    states.push_back(to_state(record, observation ? *observation : Observation{}));
    struct stat status{};
    if (::fstat(directory->get(), &status) == 0) states.back().owner = user_name(status.st_uid);
  }
  return states;
}

Result<void> kill_container(const std::string& state_root, std::string_view id, int signal,
                            SignalTo to) {
  TRY_ASSIGN(const Known known, look_up(state_root, id, Lock::kNone));
  if (to == SignalTo::kEveryProcess) return signal_every_process(known, signal);
  const auto not_running = [&] {
    return fail(ErrorKind::kState,
                "cannot signal container " + quoted(id) + ": container not running");
  };
  if (!lives(known.observation.status)) return not_running();
  auto init = ContainerDirectory::hold(known.observation.init);
  if (!init && init.error().kind() == ErrorKind::kNotFound) return not_running();
  if (!init) return std::unexpected(std::move(init).error());
  if (auto sent = init->send_signal(signal); !sent) {
    if (sent.error().error == ESRCH) return not_running();
    return std::unexpected(Error(sent.error()).within("signalling container " + quoted(id)));
  }
  if (signal != SIGKILL) return {};
  // The rest would go on living without its init, and a frozen v1 group would not even die.
  if (known.record.own_pid_namespace && known.observation.status != Status::kPaused) return {};
  TRY_ASSIGN(const isolation::CgroupSet groups,
             isolation::CgroupSet::open(known.record.cgroup_directories));
  if (groups.empty()) return {};
  if (!known.record.own_pid_namespace) TRY(groups.signal_all(SIGKILL));
  if (known.observation.status == Status::kPaused) TRY(groups.thaw());
  return {};
}

namespace {

// As open_locked, but does not wait for ever for a command that hangs: with the container's first
// process gone, a create gives up its hooks and undoes what it has made, and a start ends.
Result<ContainerDirectory> open_by_force(const std::string& state_root, std::string_view id) {
  constexpr int kStepMilliseconds = 10;
  constexpr int kPatienceMilliseconds = 500;
  constexpr int kGiveUpMilliseconds = 20'000;
  TRY_ASSIGN(ContainerDirectory directory, ContainerDirectory::open(state_root, id));
  for (int waited = 0;; waited += kStepMilliseconds) {
    const auto locked = directory.try_lock();
    if (locked) return directory;
    if (locked.error().error == ENOENT)
      return fail(ErrorKind::kNotFound, "container " + quoted(id) + " does not exist");
    if (locked.error().error != EWOULDBLOCK)
      return std::unexpected(Error(locked.error()).within(directory.path()));
    if (waited >= kGiveUpMilliseconds)
      return fail(ErrorKind::kState,
                  "container " + quoted(id) + " is held by another command, which does not end",
                  "end that command (a create, start, pause or update of this container)");
    if (waited >= kPatienceMilliseconds) {
      TRY_ASSIGN(const std::optional<InitProcess> init, directory.first_process());
      if (init)
        if (const auto process = ContainerDirectory::hold(*init))
          (void)process->send_signal(SIGKILL);
    }
    ::poll(nullptr, 0, kStepMilliseconds);
  }
}

}  // namespace

Result<std::vector<Error>> delete_container(const std::string& state_root, std::string_view id,
                                            DeleteMode mode) {
  auto directory = mode == DeleteMode::kForce ? open_by_force(state_root, id)
                                              : ContainerDirectory::open_locked(state_root, id);
  if (!directory) {
    const bool absent = directory.error().kind() == ErrorKind::kNotFound;
    if (absent && mode == DeleteMode::kForce) return std::vector<Error>{};
    return std::unexpected(std::move(directory).error());
  }
  auto record = directory->read_record();
  if (!record) {
    // Create was killed before it wrote down what it was about to make: there is nothing but this.
    const bool incomplete = record.error().kind() == ErrorKind::kState;
    if (!incomplete && mode != DeleteMode::kForce)
      return std::unexpected(std::move(record).error());
    TRY(std::move(*directory).remove());
    return std::vector<Error>{};
  }
  TRY_ASSIGN(const Observation observation, directory->observe(*record));
  const bool deletable =
      observation.status == Status::kStopped || observation.status == Status::kCreated;
  if (!deletable && mode != DeleteMode::kForce)
    return fail(ErrorKind::kState,
                "cannot delete container " + quoted(id) + " that is not stopped: it is " +
                    std::string(oci::name_of(observation.status)),
                "stop it first, or use --force");
  return remove_container(*std::move(directory), *record, observation);
}

Result<void> pause_container(const std::string& state_root, std::string_view id) {
  TRY_ASSIGN(const Known known, look_up(state_root, id, Lock::kTake));
  if (known.observation.status != Status::kRunning && known.observation.status != Status::kCreated)
    return std::unexpected(wrong_status("pause", known));
  TRY_ASSIGN(const isolation::CgroupSet groups, groups_of(known.record, "pausing"));
  return groups.freeze();
}

Result<void> resume_container(const std::string& state_root, std::string_view id) {
  TRY_ASSIGN(const Known known, look_up(state_root, id, Lock::kTake));
  if (!lives(known.observation.status)) return std::unexpected(wrong_status("resume", known));
  TRY_ASSIGN(const isolation::CgroupSet groups, groups_of(known.record, "resuming"));
  TRY_ASSIGN(const bool frozen, groups.frozen());
  if (!frozen)
    return fail(ErrorKind::kState,
                "cannot resume container " + quoted(id) + ": container not paused");
  return groups.thaw();
}

Result<void> update_container(const std::string& state_root, std::string_view id,
                              const oci::Resources& resources) {
  TRY_ASSIGN(const Known known, look_up(state_root, id, Lock::kTake));
  if (!lives(known.observation.status)) return std::unexpected(wrong_status("update", known));
  TRY_ASSIGN(const isolation::CgroupSet groups, groups_of(known.record, "an update of its limits"));
  TRY(groups.update(resources));
  if (known.record.cgroup_driver != isolation::CgroupDriver::kSystemd) return {};
  TRY(update_scope(known.record, resources));
  // systemd has just written the same limits, some of them rounded.
  return groups.update(resources);
}

Result<std::vector<HostPid>> container_processes(const std::string& state_root,
                                                 std::string_view id) {
  TRY_ASSIGN(const Known known, look_up(state_root, id, Lock::kNone));
  if (!lives(known.observation.status)) return std::vector<HostPid>{};
  TRY_ASSIGN(const isolation::CgroupSet groups,
             isolation::CgroupSet::open(known.record.cgroup_directories));
  // Without groups of its own, only the init is known to belong to the container.
  if (groups.empty()) return std::vector<HostPid>{known.observation.init.pid};
  return groups.processes();
}

Result<isolation::CgroupSet> container_groups(const std::string& state_root, std::string_view id) {
  TRY_ASSIGN(const Known known, look_up(state_root, id, Lock::kNone));
  if (!lives(known.observation.status))
    return fail(ErrorKind::kState, "container " + quoted(id) + " is not running");
  return groups_of(known.record, "this");
}

}  // namespace bulkhead::runtime
