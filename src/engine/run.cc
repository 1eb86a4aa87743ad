#include "engine/run.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "base/text.h"
#include "engine/holdings.h"
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

class OverlayRoot final : public runtime::RootMaker {
 public:
  explicit OverlayRoot(const storage::Snapshot& snapshot) : snapshot_(snapshot) {}
  Result<Fd> make_root(int user_namespace) override {
    TRY_ASSIGN(storage::MountedSnapshot made, storage::mount_snapshot(snapshot_, user_namespace));
    layers_ = std::move(made.layers);
    return std::move(made.mount);
  }
  void root_handed_over() override { layers_.clear(); }

 private:
  const storage::Snapshot& snapshot_;
  std::vector<Fd> layers_;
};

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

// What went wrong with a volume gets the words of the flag that asked for it.
Error explain_launch_failure(Error error, const Wish& wish) {
  for (const Volume& volume : wish.volumes)
    if (error.kind() == ErrorKind::kUnsupported && volume.id_mapped &&
        error.message().find(quoted(volume.source)) != std::string::npos)
      return std::move(error).with_hint(
          "give --volume " + volume.source + ":" + volume.destination +
          ":noidmap: its files then belong to nobody in the container, unless they are given to "
          "the "
          "container's ids; or copy them to ext4, xfs, btrfs or a tmpfs");
  return error;
}

// What the layers say of a field of the specification, with the flag that has put it there.
Error in_words_of_flags(Error error) {
  struct Row {
    std::string_view pointer;
    std::string_view flag;
  };
  constexpr Row kRows[] = {{"/linux/sysctl", "--sysctl"},
                           {"/linux/resources/memory/swappiness", "--memory-swappiness"},
                           {"/linux/resources/memory/disableOOMKiller", "--oom-kill-disable"},
                           {"/linux/resources/memory/reservation", "--memory-reservation"},
                           {"/linux/resources/cpu/realtime", "--cpu-rt-period, --cpu-rt-runtime"},
                           {"/linux/resources/cpu/shares", "--cpu-shares"},
                           {"/linux/resources/cpu/cpus", "--cpuset-cpus"},
                           {"/linux/resources/cpu/mems", "--cpuset-mems"},
                           {"/linux/resources/blockIO", "a limit of block devices"},
                           {"/process/rlimits", "--ulimit"},
                           {"oom_score_adj", "--oom-score-adj"}};
  for (const Row& row : kRows)
    if (error.message().find(row.pointer) != std::string::npos)
      return std::move(error).within(row.flag);
  return error;
}

storage::Snapshot snapshot_of(const Prepared& prepared, const RunOptions& options) {
  storage::Snapshot snapshot;
  snapshot.store = prepared.store.get();
  snapshot.layers = storage::lower_paths(prepared.record);
  snapshot.upper = options.remove ? storage::Upper::kDiscarded : storage::Upper::kKept;
  snapshot.form = prepared.wish.storage.layers;
  snapshot.limit = prepared.limit;
  return snapshot;
}

Result<runtime::Container> launch(Prepared& prepared, const RunOptions& options, Composed& composed,
                                  OverlayRoot& root) {
  TRY_ASSIGN(const std::vector<isolation::HandedMount> mounts, make_handed_mounts(prepared));
  runtime::CreateOptions create;
  create.common.state_root = state_root_of(options.store);
  create.id = prepared.circumstances.id;
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
                                            // Nobody else would keep its limits of time, or
                                            // give back what it has of the host.
                                            .dies_with_us = true});
  if (!container)
    return std::unexpected(explain_launch_failure(std::move(container).error(), prepared.wish));
  return container;
}

Result<void> stand_by(runtime::Container& container, const runtime::SignalRelay& signals,
                      const Wish& wish, runtime::OutputPump* output, RunResult& result) {
  container.directory.unlock();
  runtime::Watch watch;
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

// The file of --cidfile, which must be new: Docker's users take one that is there for a container
// that still runs.
Result<void> write_id_file(const std::string& path, const std::string& id) {
  const auto file = open_at(AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (!file && file.error().error == EEXIST)
    return fail(ErrorKind::kExists, "--cidfile " + quoted(path) + ": the file exists",
                "make sure that its container is not running, and remove the file");
  if (!file) return std::unexpected(Error(file.error()).within("--cidfile"));
  TRY_WITHIN("--cidfile", Result<void>(write_all(file->get(), id.data(), id.size())));
  return {};
}

// What the kernel has accounted, where anybody will see it: to read it takes as long as to remove
// the groups.
void account(RunResult& result, const runtime::Container& container, const RunOptions& options,
             const Warn& warn) {
  const bool killed =
      result.exit.shell_code() == 128 + SIGKILL && !result.timed_out && !result.output_limited;
  if (options.remove && options.result_file.empty() && !killed) return;
  const isolation::CgroupUsage usage = container.cgroups.usage();
  result.oom_killed = usage.oom_kills.value_or(0) > 0;
  result.peak_memory_bytes = usage.peak_memory_bytes;
  result.cpu_nanoseconds = usage.cpu_ns;
  result.cpu_user_nanoseconds = usage.cpu_user_ns;
  result.cpu_system_nanoseconds = usage.cpu_system_ns;
  if (killed && result.oom_killed)
    warn(
        "the container ran into its memory limit, and the kernel killed it; --memory sets another");
}

}  // namespace

Result<RunResult> run(const RunOptions& options, const Warn& warn) {
  if (!options.result_file.empty()) TRY(check_result_file(options.result_file));
  TRY_ASSIGN(Prepared prepared, prepare(options));
  TRY(storage::snapshotter_of(prepared.wish.storage.layers)
          .prepare(prepared.store, storage::lower_paths(prepared.record)));
  TRY(arrange_input(options));
  Circumstances& circumstances = prepared.circumstances;

  TRY_ASSIGN(const runtime::SignalRelay signals, runtime::SignalRelay::start());
  // A container of which nothing stays needs no name to be found by.
  const bool named = !options.remove || !options.name.empty();
  TRY_ASSIGN(Holdings holdings,
             Holdings::take(prepared.store, circumstances.id, named ? circumstances.name : "",
                            snapshot_of(prepared, options), ids_for(prepared)));
  TRY(storage::mark_use(prepared.store, prepared.record, holdings.snapshot().container));
  prepared.image_lock.reset();
  circumstances.first_uid = holdings.first_uid();
  circumstances.first_gid = holdings.first_gid();
  TRY_ASSIGN(Composed composed, compose(prepared.wish, prepared.image, circumstances));
  TRY(oci::validate(composed.spec));

  RunResult result;
  result.id = circumstances.id;
  result.name = circumstances.name;
  result.image = circumstances.image;
  OverlayRoot root(holdings.snapshot());
  if (!options.container_id_file.empty())
    TRY(write_id_file(options.container_id_file, circumstances.id));
  TRY_ASSIGN(std::optional<runtime::OutputPump> output, divert_output(prepared.wish));
  auto launched = launch(prepared, options, composed, root);
  if (output) TRY(output->restore());
  if (!launched) {
    if (!options.container_id_file.empty()) (void)::unlink(options.container_id_file.c_str());
    return std::unexpected(in_words_of_flags(std::move(launched).error()));
  }
  runtime::Container container = *std::move(launched);
  result.started = container.record.created;
  for (const auto* warnings : {&prepared.warnings, &container.warnings})
    for (const std::string& warning : *warnings) warn(warning);

  auto stood_by = stand_by(container, signals, prepared.wish, output ? &*output : nullptr, result);
  if (stood_by) account(result, container, options, warn);
  auto discarded = runtime::discard(std::move(container), composed.spec);
  if (!stood_by) return std::unexpected(std::move(stood_by).error());
  // The program has run: what fails from here on must not hide how it ended.
  if (!discarded) warn(discarded.error().message());
  if (result.output_limited)
    warn("the container wrote more than --output-limit allows, and was ended");
  auto settled = options.remove ? std::move(holdings).give_back(prepared.wish.volumes)
                                : std::move(holdings).keep(encode(result));
  if (!settled) warn(settled.error().message());
  if (!options.result_file.empty()) TRY(write_result_file(options.result_file, result));
  return result;
}

}  // namespace bulkhead::engine
