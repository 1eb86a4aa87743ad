#include "engine/ending.h"

#include <unistd.h>

#include "base/text.h"
#include "engine/adopting.h"
#include "engine/container_volumes.h"
#include "engine/detached.h"
#include "engine/events.h"
#include "engine/foreign_runtime.h"
#include "engine/holdings.h"
#include "engine/oom.h"
#include "engine/prepare.h"
#include "engine/registry.h"
#include "runtime/record.h"
#include "runtime/remove.h"
#include "storage/store.h"
#include "sys/file.h"
#include "volumes/memory.h"

namespace bulkhead::engine {
namespace {

// Of a container that ended unseen: what a shell says of a program that it knows nothing of.
constexpr int kUnknownExit = 255;

// What the kernel has accounted, before the groups go.
void account(const std::string& state_root, const std::string& id, LifeRecord& life) {
  const auto directory = runtime::ContainerDirectory::open(state_root, id);
  if (!directory) return;
  const auto record = directory->read_record();
  if (!record) return;
  const auto groups = isolation::CgroupSet::open(record->cgroup_directories);
  if (!groups) return;
  const isolation::CgroupUsage usage = groups->usage();
  life.oom_kills = usage.oom_kills.value_or(0);
  life.oom_killed = life.oom_kills > 0;
  life.oom_victim = life.oom_killed ? last_victim(id) : std::string();
  life.peak_memory_bytes = usage.peak_memory_bytes;
  life.cpu_nanoseconds = usage.cpu_ns;
}

void record_death(const StoreOptions& options, const ContainerRecord& record,
                  const LifeRecord& life, std::uint64_t oom_kills) {
  const EventSubject subject = EventSubject::of(record);
  record_oom(options, subject, oom_kills);
  record_event(options, subject, "die", {{"exitCode", std::to_string(life.exit_code)}});
  record_mounts(options, record.id, record.mounts, "unmount");
}

Result<void> settle(const StoreOptions& options, const storage::Store& store,
                    const ContainerRecord& record, int directory, const LifeRecord& life) {
  if (record.remove && life.status == LifeStatus::kExited) {
    TRY(give_back_recorded(store, record, OwnVolumes::kRemove));
    record_event(options, EventSubject::of(record), "destroy");
    return {};
  }
  return write_life_record(directory, life);
}

bool lives(runtime::Status status) {
  return status == runtime::Status::kRunning || status == runtime::Status::kPaused;
}

// Whether the runtime's container still lives.
bool is_alive(const std::string& state_root, const std::string& id) {
  const auto directory = runtime::ContainerDirectory::open(state_root, id);
  if (!directory) return false;
  const auto record = directory->read_record();
  if (!record) return false;
  const auto observation = directory->observe(*record);
  return observation && lives(observation->status);
}

}  // namespace

Result<void> release_memory_volumes(const StoreOptions& options, const storage::Store& store,
                                    const std::string& id) {
  const std::string state_root = state_root_of(options);
  return volumes::release_memory(store.get(), id, [&](const std::string& other) {
    // Somebody stands by it, or it has outlived its monitor.
    const auto held = hold_container(store.get(), other);
    const bool stood_by = !held && held.error().kind() == ErrorKind::kState;
    return stood_by || is_alive(state_root, other);
  });
}

Result<void> remove_from_runtime(const std::string& state_root, const std::string& id) {
  // What another runtime has made, it takes away; the rest is as with our own.
  constexpr std::string_view kBeneath = "/runtime";  // state_root_of()
  TRY(end_foreign(state_root.substr(0, state_root.size() - kBeneath.size()), id));
  auto directory = runtime::ContainerDirectory::open_locked(state_root, id);
  if (!directory) {
    if (directory.error().kind() == ErrorKind::kNotFound) return {};
    return std::unexpected(std::move(directory).error());
  }
  // Killed before it had written its record: then nothing but the directory has been made.
  const auto record = directory->read_record();
  if (!record) return std::move(*directory).remove();
  TRY_ASSIGN(const runtime::Observation observation, directory->observe(*record));
  TRY(runtime::remove_container(*std::move(directory), *record, observation));
  return {};
}

Result<void> record_end(const StoreOptions& options, const std::string& id,
                        const supervise::Ended& ended) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const Fd directory, open_container(store.get(), id));
  TRY_ASSIGN(const auto record, read_container_record(directory.get()));
  TRY_ASSIGN(LifeRecord life, read_life_record(directory.get()));
  const std::string state_root = state_root_of(options);
  life.status = ended.starts_again ? LifeStatus::kRestarting : LifeStatus::kExited;
  bool died = false;
  if (life.finished < life.started || life.finished.empty()) {
    life.finished = runtime::now_rfc3339();
    life.exit_code = ended.exit.shell_code();
    life.signal = ended.exit.signal;
    life.timed_out = ended.timed_out;
    life.output_limited = ended.output_limited;
    account(state_root, id, life);
    if (ended.unknown)
      life.error = "its first monitor was killed: how the container ended is not known";
    died = true;
  }
  life.stopped_by_user = ended.stopped;
  auto removed = remove_from_runtime(state_root, id);
  if (removed && !ended.starts_again) removed = release_memory_volumes(options, store, id);
  if (!removed) life.error = removed.error().message();
  if (!record) return removed;
  if (died) record_death(options, *record, life, ended.oom_kills);
  return settle(options, store, *record, directory.get(), life);
}

Result<void> record_kills(const StoreOptions& options, const std::string& id, std::uint64_t kills) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const Fd directory, open_container(store.get(), id));
  TRY_ASSIGN(const auto record, read_container_record(directory.get()));
  if (record) record_oom(options, EventSubject::of(*record), kills);
  return {};
}

void remove_monitor_socket(const StoreOptions& options, const std::string& id) {
  (void)::unlink((monitor_directory(options) + "/" + id).c_str());
}

Result<void> repair(const StoreOptions& options, const std::string& id) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  auto held = hold_container(store.get(), id);
  if (!held) return {};
  remove_monitor_socket(options, id);
  TRY_ASSIGN(const auto record, read_container_record(held->get()));
  if (!record) return {};
  TRY_ASSIGN(LifeRecord life, read_life_record(held->get()));
  const std::string state_root = state_root_of(options);
  if (life.status != LifeStatus::kRunning && life.status != LifeStatus::kRestarting) return {};
  if (is_alive(state_root, id)) {
    // One that an older program has made says nothing of its pipes, and stays as it is.
    const bool found_again = life.output_pipe || record->terminal;
    held = Fd();
    if (found_again) have_adopted(options, id);
    return {};
  }
  if (life.status == LifeStatus::kRunning) {
    const bool known = runtime::ContainerDirectory::open(state_root, id).has_value();
    account(state_root, id, life);
    life.finished = runtime::now_rfc3339();
    life.exit_code = kUnknownExit;
    life.error = known ? "its monitor was killed: how and when the container ended is not known"
                       : "it ended with the machine, or together with its monitor: how and when is "
                         "not known";
    // Whether its monitor has told of any kill is not known; that there was one is.
    record_death(options, *record, life, life.oom_killed ? 1 : 0);
  }
  life.status = LifeStatus::kExited;
  TRY(remove_from_runtime(state_root, id));
  TRY(release_memory_volumes(options, store, id));
  return settle(options, store, *record, held->get(), life);
}

Result<void> end_leftovers(const StoreOptions& options, const std::string& id) {
  const std::string state_root = state_root_of(options);
  if (is_alive(state_root, id))
    return fail(ErrorKind::kState,
                "container " + quoted(id.substr(0, 12)) +
                    " is running already, without a monitor: its own was killed",
                "end it first: bulkhead stop " + id.substr(0, 12));
  return remove_from_runtime(state_root, id);
}

}  // namespace bulkhead::engine
