#include "engine/detached.h"

#include <time.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/text.h"
#include "engine/adopting.h"
#include "engine/container_volumes.h"
#include "engine/containers.h"
#include "engine/ending.h"
#include "engine/events.h"
#include "engine/foreign_launch.h"
#include "engine/health_run.h"
#include "engine/holdings.h"
#include "engine/launching.h"
#include "engine/make_record.h"
#include "engine/overlay_root.h"
#include "engine/prepare.h"
#include "engine/registry.h"
#include "oci/decode.h"
#include "oci/encode.h"
#include "oci/validate.h"
#include "storage/images.h"
#include "storage/snapshotter.h"
#include "supervise/monitor.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

// How long a start waits for another command that holds the container.
constexpr std::chrono::seconds kPatience{10};

// What every way to a container has in common: everything that it is, in the store.
struct Made {
  Prepared prepared;
  Holdings holdings;
  Composed composed;
  ContainerRecord record;
};

// Docker's exit codes for a program that never ran.
int code_of_failed_start(const Error& error) {
  constexpr int kFailed = 128;
  if (error.kind() == ErrorKind::kCommandNotFound) return 127;
  if (error.kind() == ErrorKind::kCommandNotExecutable) return 126;
  return kFailed;
}

template <class Warning>
Result<Made> make(const RunOptions& options, Warning warn) {
  TRY(read_life_choices(options));
  TRY_ASSIGN(Prepared prepared, prepare(options));
  TRY(check_foreign(options, prepared.wish, prepared.health.enabled()));
  TRY(storage::snapshotter_of(prepared.wish.storage.layers)
          .prepare(prepared.store, storage::lower_paths(prepared.record)));
  Circumstances& circumstances = prepared.circumstances;
  TRY_ASSIGN(Holdings holdings, Holdings::take(prepared.store, circumstances.id, options.name,
                                               snapshot_of(prepared, options), ids_for(prepared)));
  TRY(storage::mark_use(prepared.store, prepared.record, holdings.snapshot().container));
  prepared.image_lock.reset();
  TRY_ASSIGN(const std::vector<std::string> notes,
             attach_volumes(options.store, prepared.store, circumstances.id,
                            storage::lower_paths(prepared.record), prepared.wish));
  for (const std::string& note : notes) warn(note);
  TRY(holdings.be_named());
  circumstances.name = holdings.name();
  circumstances.first_uid = holdings.first_uid();
  circumstances.first_gid = holdings.first_gid();
  TRY_ASSIGN(Composed composed, compose(prepared.wish, prepared.image, circumstances));
  TRY(oci::validate(composed.spec));
  for (const std::string& warning : prepared.warnings) warn(warning);
  TRY_ASSIGN(ContainerRecord record, make_record(options, prepared, composed));
  // Moved from in this order: the holdings refer to the store's descriptor, which does not change.
  return Made{std::move(prepared), std::move(holdings), std::move(composed), std::move(record)};
}

class Running : public supervise::Work {
 public:
  Running(const StoreOptions& store, std::string id) : store_(store), id_(std::move(id)) {}

  bool launch(const supervise::Handover& handover, std::uint32_t restarts) override {
    auto launched = start(handover, restarts);
    if (launched) {
      handover.report_started();
      return true;
    }
    handover.report_error(launched.error());
    return false;
  }

  void ended(const supervise::Ended& ended) override { (void)record_end(store_, id_, ended); }

  void out_of_memory(std::uint64_t kills) override { (void)record_kills(store_, id_, kills); }

  void clear_away() override { (void)repair(store_, id_); }

  supervise::Health check_health(bool starting) override;

 protected:
  // A container that is in the store already.
  virtual Result<void> start(const supervise::Handover& handover, std::uint32_t restarts);

  const StoreOptions& store_;
  std::string id_;
};

supervise::Health Running::check_health(bool starting) {
  const auto store = storage::Store::open(store_.root);
  const auto directory = store ? open_container(store->get(), id_) : Result<Fd>();
  if (!store || !directory) return supervise::Health::kStarting;
  const auto record = read_container_record(directory->get());
  if (!record || !*record) return supervise::Health::kStarting;
  return run_health_check(store_, id_, (*record)->health, starting);
}

// The container's clocks begin now where they began at its first start.
void set_clocks(oci::Spec& spec) {
  const auto said = spec.annotations.find(std::string(kClocksAnnotation));
  const std::int64_t begin =
      said == spec.annotations.end() ? 0 : parse_number<std::int64_t>(said->second).value_or(0);
  for (const auto& [name, clock] :
       {std::pair("monotonic", CLOCK_MONOTONIC), std::pair("boottime", CLOCK_BOOTTIME)}) {
    struct timespec time{};
    const auto offset = spec.linux_.time_offsets.find(name);
    if (offset == spec.linux_.time_offsets.end() || ::clock_gettime(clock, &time) != 0) continue;
    offset->second.secs = begin - std::int64_t{time.tv_sec};
  }
}

// Somebody may hold it for a moment: a start that is under way, a copy.
Result<Fd> take_for_start(const StoreOptions& options, const storage::Store& store,
                          const std::string& id) {
  using namespace std::chrono_literals;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    auto held = hold_container(store.get(), id);
    if (held || held.error().kind() != ErrorKind::kState) return held;
    const auto now = look_at(options, store, id);
    const bool rests =
        now && *now &&
        ((*now)->status == ContainerStatus::kExited || (*now)->status == ContainerStatus::kCreated);
    if (!rests)
      return fail(ErrorKind::kState,
                  "container " + quoted(id.substr(0, 12)) + " is running already");
    if (std::chrono::steady_clock::now() > deadline)
      return fail(ErrorKind::kState,
                  "container " + quoted(id.substr(0, 12)) + " is in the hands of another command",
                  "try again when that has ended: bulkhead cp holds what it copies from or to");
    std::this_thread::sleep_for(2ms);
  }
}

Result<void> Running::start(const supervise::Handover& handover, std::uint32_t restarts) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(store_.root));
  // A monitor that starts its container again holds the lock already, and we share it.
  Fd directory;
  if (restarts == 0) {
    TRY_ASSIGN(directory, take_for_start(store_, store, id_));
  } else {
    TRY_ASSIGN(directory, open_container(store.get(), id_));
  }
  TRY_ASSIGN(const auto record, read_container_record(directory.get()));
  if (!record)
    return fail(
        ErrorKind::kState,
        "container " + quoted(id_.substr(0, 12)) + " was never wholly made, and cannot be started",
        "remove it: bulkhead rm --force " + id_.substr(0, 12));
  if (!record->unrepeatable.empty())
    return fail(
        ErrorKind::kUnsupported,
        "container " + quoted(record->name) + " cannot be started again: " + record->unrepeatable,
        "run it anew, or use an engine that can");
  TRY(end_leftovers(store_, id_));
  TRY_ASSIGN(const std::string written, read_file_at(directory.get(), kConfigFile, 16 << 20));
  TRY_ASSIGN(oci::Spec spec, oci::decode_spec(written));
  set_clocks(spec);
  storage::Snapshot snapshot;
  snapshot.store = store.get();
  snapshot.layers = record->layers;
  snapshot.container = container_path(id_);
  TRY_ASSIGN(const StorageRecord kept, read_storage_record(store.get(), container_path(id_)));
  snapshot.form = kept.layers;
  TRY(storage::snapshotter_of(snapshot.form).prepare(store, snapshot.layers));
  snapshot.upper = record->remove ? storage::Upper::kDiscarded : storage::Upper::kKept;
  const std::string config = oci::encode(spec);
  std::vector<isolation::HandedMount> mounts;
  auto launched = add_volume_mounts(store, record->mounts, mounts);
  if (launched)
    launched = launch_for_monitor({.store = store_,
                                   .bundle = store.path(),
                                   .record = *record,
                                   .config = config,
                                   .spec = spec,
                                   .snapshot = snapshot,
                                   .directory = directory,
                                   .handed_mounts = mounts,
                                   .restarts = restarts},
                                  handover);
  if (launched) return {};
  (void)release_memory_volumes(store_, store, id_);
  auto life = read_life_record(directory.get());
  if (life) {
    life->status = life->status == LifeStatus::kCreated ? life->status : LifeStatus::kExited;
    life->error = launched.error().message();
    life->exit_code = code_of_failed_start(launched.error());
    (void)write_life_record(directory.get(), *life);
  }
  return launched;
}

// One that runs already, and whose monitor was killed.
class Adopted final : public Running {
 public:
  using Running::Running;

 private:
  Result<void> start(const supervise::Handover& handover, std::uint32_t restarts) override {
    if (restarts > 0) return Running::start(handover, restarts);
    TRY_ASSIGN(const storage::Store store, storage::Store::open(store_.root));
    TRY_ASSIGN(Fd directory, hold_container(store.get(), id_));
    TRY_ASSIGN(const auto record, read_container_record(directory.get()));
    if (!record) return fail(ErrorKind::kState, "the container has no record");
    TRY_ASSIGN(const supervise::Launched launched,
               take_over(store_, *record, std::move(directory)));
    return handover.give(launched);
  }
};

class NewRunning final : public Running {
 public:
  explicit NewRunning(const RunOptions& options)
      : Running(options.store, options.id), options_(options) {}

  void clear_away() override { (void)remove(store_, id_, Force::kKill, OwnVolumes::kRemove); }

 private:
  Result<void> start(const supervise::Handover& handover, std::uint32_t restarts) override {
    if (restarts > 0) return Running::start(handover, restarts);
    TRY_ASSIGN(Made made, make(options_, [&](const std::string& text) { handover.warn(text); }));
    const std::string config = oci::encode(made.composed.spec);
    if (!made.record.unrepeatable.empty() &&
        made.record.restart.kind != supervise::RestartKind::kNo)
      return fail(
          ErrorKind::kUnsupported,
          "--restart: the container could not be started again: " + made.record.unrepeatable,
          "leave --restart out");
    TRY(made.holdings.write(made.record, config, LifeRecord{}));
    record_event(store_, EventSubject::of(made.record), "create");
    const auto mounts = make_handed_mounts(made.prepared);
    if (!mounts) {
      (void)release_memory_volumes(store_, made.prepared.store, id_);
      record_event(store_, EventSubject::of(made.record), "destroy");
      return std::unexpected(mounts.error());
    }
    if (!options_.container_id_file.empty())
      TRY(write_id_file(options_.container_id_file, made.record.id));
    auto launched = launch_for_monitor({.store = store_,
                                        .bundle = made.prepared.store.path(),
                                        .record = made.record,
                                        .config = config,
                                        .spec = made.composed.spec,
                                        .snapshot = made.holdings.snapshot(),
                                        .directory = made.holdings.directory(),
                                        .handed_mounts = *mounts},
                                       handover);
    if (!launched) {
      (void)release_memory_volumes(store_, made.prepared.store, id_);
      if (!options_.container_id_file.empty()) (void)::unlink(options_.container_id_file.c_str());
      record_event(store_, EventSubject::of(made.record), "destroy");
      return std::unexpected(in_words_of_flags(
          explain_launch_failure(std::move(launched).error(), made.prepared.wish.volumes)));
    }
    made.holdings.stay();
    return {};
  }

  const RunOptions& options_;
};

}  // namespace

std::string monitor_directory(const StoreOptions& options) { return options.runroot + "/monitor"; }

Result<std::string> run_detached(RunOptions options, const Warn& warn, EarlyAttach attach) {
  // Known to all three processes before they part.
  TRY_ASSIGN(options.id, new_id());
  NewRunning work(options);
  supervise::MonitorPlan plan;
  plan.socket_directory = monitor_directory(options.store);
  plan.id = options.id;
  plan.first_client = std::move(attach.monitors_end);
  plan.first_client_streams = attach.streams;
  TRY(supervise::start_with_monitor(work, std::move(plan), warn));
  return options.id;
}

Result<std::string> create(const RunOptions& options, const Warn& warn) {
  TRY_ASSIGN(Made made, make(options, warn));
  if (!made.record.unrepeatable.empty())
    return fail(ErrorKind::kUnsupported,
                "such a container can be run, but not made first and started later: " +
                    made.record.unrepeatable,
                "use bulkhead run --detach");
  if (!options.container_id_file.empty())
    TRY(write_id_file(options.container_id_file, made.record.id));
  TRY(made.holdings.write(made.record, oci::encode(made.composed.spec), LifeRecord{}));
  made.holdings.stay();
  record_event(options.store, EventSubject::of(made.record), "create");
  return made.record.id;
}

Result<void> adopt(const StoreOptions& options, const std::string& id, const Warn& warn) {
  Adopted work(options, id);
  supervise::MonitorPlan plan;
  plan.socket_directory = monitor_directory(options);
  plan.id = id;
  return supervise::start_with_monitor(work, std::move(plan), warn);
}

Result<void> start(const StoreOptions& options, const std::string& id, const Warn& warn,
                   EarlyAttach attach) {
  Running work(options, id);
  supervise::MonitorPlan plan;
  plan.socket_directory = monitor_directory(options);
  plan.id = id;
  plan.first_client = std::move(attach.monitors_end);
  plan.first_client_streams = attach.streams;
  return supervise::start_with_monitor(work, std::move(plan), warn);
}

}  // namespace bulkhead::engine
