#include "engine/run.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "base/text.h"
#include "engine/container_volumes.h"
#include "engine/ending.h"
#include "engine/events.h"
#include "engine/health_run.h"
#include "engine/holdings.h"
#include "engine/make_record.h"
#include "engine/oom.h"
#include "engine/overlay_root.h"
#include "engine/prepare.h"
#include "oci/encode.h"
#include "oci/validate.h"
#include "runtime/create.h"
#include "runtime/run.h"
#include "runtime/supervise.h"
#include "storage/images.h"
#include "storage/snapshot.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

// Without --interactive the container reads nothing of ours.
Result<void> arrange_input(const RunOptions& options) {
  if (options.interactive) {
    if (options.terminal && ::isatty(STDIN_FILENO) == 0)
      return fail(ErrorKind::kUsage,
                  "--tty with --interactive: the standard input is not a terminal",
                  "leave --tty out when the input is a pipe or a file");
    return {};
  }
  TRY_ASSIGN(const Fd nothing, open_at(AT_FDCWD, "/dev/null", O_RDONLY));
  if (::dup2(nothing.get(), STDIN_FILENO) < 0)
    return std::unexpected(Error(SysError{"dup2", errno}));
  return {};
}

Result<runtime::Container> launch(Prepared& prepared, const RunOptions& options, Composed& composed,
                                  OverlayRoot& root) {
  const std::vector<std::string> own_mounts = own_mounts_of(prepared);
  TRY_ASSIGN(const std::vector<isolation::HandedMount> mounts, make_handed_mounts(prepared));
  runtime::CreateOptions create;
  create.common.state_root = state_root_of(options.store);
  create.id = prepared.circumstances.id;
  // Under a stricter mask of the caller's the container could not look into its own groups (cgroup v2).
  TRY_ASSIGN(const mode_t mask, set_umask(0022));
  auto container = runtime::make_container({.options = create,
                                            .spec = composed.spec,
                                            .config_json = oci::encode(composed.spec),
                                            .bundle = prepared.store.path(),
                                            .start_mode = runtime::StartMode::kStartAtOnce,
                                            .defaults = composed.defaults,
                                            .root_maker = &root,
                                            .handed_mounts = mounts,
                                            .image = prepared.circumstances.image,
                                            .opened = composed.opened,
                                            .own_mounts = own_mounts,
                                            // Nobody else would keep its limits of time, or
                                            // give back what it has of the host.
                                            .dies_with_us = true});
  TRY(set_umask(mask));
  if (!container)
    return std::unexpected(
        explain_launch_failure(std::move(container).error(), prepared.wish.volumes));
  return container;
}

Result<void> stand_by(runtime::Container& container, const runtime::SignalRelay& signals,
                      const Wish& wish, runtime::OutputPump* output, runtime::Chore& chore,
                      RunResult& result) {
  container.directory.unlock();
  runtime::Watch watch;
  watch.chore = &chore;
  watch.time.milliseconds = static_cast<int>(wish.timeout_milliseconds.value_or(-1));
  watch.output = output;
  if (wish.limits.output_bytes)
    watch.terminal_bytes = static_cast<std::uint64_t>(*wish.limits.output_bytes);
  if (!wish.pass_signals) watch.policy = runtime::SignalPolicy::kKeep;
  auto exit =
      runtime::supervise_foreground(container.init, signals, std::move(container.terminal), watch);
  if (!exit) {
    (void)container.init.send_signal(SIGKILL);
    (void)container.init.wait();
    return std::unexpected(std::move(exit).error());
  }
  result.exit = *exit;
  // Whoever asked us to end is told that we did, not how the container fared.
  if (watch.ended_by_signal != 0) result.exit = {.code = 0, .signal = watch.ended_by_signal};
  result.timed_out = watch.time.reached;
  result.output_limited = watch.output_exceeded;
  result.finished = runtime::now_rfc3339();
  return {};
}

// With a limit the container writes to pipes of ours; a terminal is counted where it is pumped.
Result<std::optional<runtime::OutputPump>> divert_output(const Wish& wish) {
  if (!wish.limits.output_bytes || wish.terminal) return std::nullopt;
  TRY_ASSIGN(runtime::OutputPump pump,
             runtime::OutputPump::divert(static_cast<std::uint64_t>(*wish.limits.output_bytes)));
  return pump;
}

// What the kernel has accounted, where anybody will see it: to read it takes as long as to remove
// the groups.
void account(RunResult& result, const runtime::Container& container, const RunOptions& options,
             const Warn& warn) {
  const bool killed =
      result.exit.shell_code() == 128 + SIGKILL && !result.timed_out && !result.output_limited;
  if (options.remove && options.result_file.empty() && !killed) {
    // One file alone: a child may have been killed for want of memory, and its parent have gone on.
    result.oom_kills = container.cgroups.oom_kills().value_or(0);
    result.oom_killed = result.oom_kills > 0;
    return;
  }
  const isolation::CgroupUsage usage = container.cgroups.usage();
  result.oom_kills = usage.oom_kills.value_or(0);
  result.oom_killed = result.oom_kills > 0;
  if (result.oom_killed) result.oom_victim = last_victim(result.id);
  result.peak_memory_bytes = usage.peak_memory_bytes;
  result.cpu_nanoseconds = usage.cpu_ns;
  result.cpu_user_nanoseconds = usage.cpu_user_ns;
  result.cpu_system_nanoseconds = usage.cpu_system_ns;
  if (killed && result.oom_killed)
    warn(
        "the container ran into its memory limit, and the kernel killed it; --memory sets another");
}

// The container stays in the store, for `start`, `inspect` and the like.
Result<void> keep(Holdings& holdings, const RunOptions& options, const Prepared& prepared,
                  const Composed& composed, const RunResult& result) {
  TRY_ASSIGN(const ContainerRecord record, make_record(options, prepared, composed));
  TRY(holdings.write(record, oci::encode(composed.spec), life_of(result)));
  holdings.stay();
  return {};
}

}  // namespace

Result<RunResult> run(const RunOptions& options, const Warn& warn) {
  TRY_ASSIGN(const LifeChoices choices, read_life_choices(options));
  if (choices.restart.kind != supervise::RestartKind::kNo)
    return fail(ErrorKind::kUsage, "--restart goes with --detach",
                "what runs in the foreground ends with its command");
  if (!options.result_file.empty()) TRY(check_result_file(options.result_file));
  TRY_ASSIGN(Prepared prepared, prepare(options));
  TRY(storage::snapshotter_of(prepared.wish.storage.layers)
          .prepare(prepared.store, storage::lower_paths(prepared.record)));
  TRY(arrange_input(options));
  Circumstances& circumstances = prepared.circumstances;

  TRY_ASSIGN(const runtime::SignalRelay signals, runtime::SignalRelay::start());
  // A container of which nothing stays needs no name to be found by.
  TRY_ASSIGN(Holdings holdings, Holdings::take(prepared.store, circumstances.id, options.name,
                                               snapshot_of(prepared, options), ids_for(prepared)));
  if (!options.remove) TRY(holdings.be_named());
  if (!holdings.name().empty()) circumstances.name = holdings.name();
  TRY(storage::mark_use(prepared.store, prepared.record, holdings.snapshot().container));
  TRY_ASSIGN(const std::vector<std::string> notes,
             attach_volumes(options.store, prepared.store, circumstances.id,
                            storage::lower_paths(prepared.record), prepared.wish));
  for (const std::string& note : notes) warn(note);
  prepared.image_lock.reset();
  circumstances.first_uid = holdings.first_uid();
  circumstances.first_gid = holdings.first_gid();
  TRY_ASSIGN(Composed composed, compose(prepared.wish, prepared.image, circumstances));
  TRY(oci::validate(composed.spec));

  RunResult result;
  result.id = circumstances.id;
  result.name = circumstances.name;
  result.image = circumstances.image;
  const EventSubject subject{result.id, result.name, result.image, composed.labels};
  record_event(options.store, subject, "create");
  OverlayRoot root(holdings.snapshot());
  if (!options.container_id_file.empty())
    TRY(write_id_file(options.container_id_file, circumstances.id));
  if (prepared.health.enabled()) TRY(reset_health_record(holdings.directory().get()));
  TRY_ASSIGN(std::optional<runtime::OutputPump> output, divert_output(prepared.wish));
  auto launched = launch(prepared, options, composed, root);
  if (output) TRY(output->restore());
  if (!launched) {
    (void)release_memory_volumes(options.store, prepared.store, circumstances.id);
    if (!options.container_id_file.empty()) (void)::unlink(options.container_id_file.c_str());
    record_event(options.store, subject, "destroy");
    return std::unexpected(in_words_of_flags(std::move(launched).error()));
  }
  runtime::Container container = *std::move(launched);
  result.started = container.record.created;
  const std::vector<MountRecord> mounts = mounts_of(prepared.wish);
  record_mounts(options.store, subject.id, mounts, "mount");
  record_event(options.store, subject, "start");
  for (const auto* warnings : {&prepared.warnings, &container.warnings})
    for (const std::string& warning : *warnings) warn(warning);

  auto stood_by = [&] {
    ForegroundChecks checks(options.store, circumstances.id, prepared.health, signals.original());
    return stand_by(container, signals, prepared.wish, output ? &*output : nullptr, checks, result);
  }();
  if (stood_by) account(result, container, options, warn);
  record_oom(options.store, subject, result.oom_kills);
  record_event(options.store, subject, "die",
               {{"exitCode", std::to_string(result.exit.shell_code())}});
  record_mounts(options.store, subject.id, mounts, "unmount");
  auto discarded = runtime::discard(std::move(container), composed.spec);
  if (!stood_by) {
    // A terminal that went away, say: the container was ended, and is kept as any other.
    result.exit = {.code = 0, .signal = SIGKILL};
    result.finished = runtime::now_rfc3339();
    if (!options.remove) (void)keep(holdings, options, prepared, composed, result);
    return std::unexpected(std::move(stood_by).error());
  }
  // The program has run: what fails from here on must not hide how it ended.
  if (!discarded) warn(discarded.error().message());
  if (result.output_limited)
    warn("the container wrote more than --output-limit allows, and was ended");
  if (auto released = release_memory_volumes(options.store, prepared.store, circumstances.id);
      !released)
    warn(released.error().message());
  auto settled = options.remove
                     ? std::move(holdings).give_back(places_of_ids(prepared.wish.volumes))
                     : keep(holdings, options, prepared, composed, result);
  if (!settled) warn(settled.error().message());
  if (settled && options.remove) record_event(options.store, subject, "destroy");
  if (!options.result_file.empty()) TRY(write_result_file(options.result_file, result));
  return result;
}

}  // namespace bulkhead::engine
