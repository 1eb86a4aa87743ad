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

storage::Snapshot snapshot_of(const Prepared& prepared, const RunOptions& options) {
  storage::Snapshot snapshot;
  snapshot.store = prepared.store.get();
  snapshot.layers = storage::lower_paths(prepared.record);
  snapshot.upper = options.remove ? storage::Upper::kDiscarded : storage::Upper::kKept;
  snapshot.form = prepared.wish.storage.layers;
  snapshot.limit = prepared.limit;
  return snapshot;
}

Result<runtime::Container> launch(const Prepared& prepared, const RunOptions& options,
                                  Composed& composed, OverlayRoot& root) {
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
                                            // Nobody else would keep its limits of time, or
                                            // give back what it has of the host.
                                            .dies_with_us = true});
  if (!container)
    return std::unexpected(explain_launch_failure(std::move(container).error(), prepared.wish));
  return container;
}

Result<void> stand_by(runtime::Container& container, const runtime::SignalRelay& signals,
                      const Wish& wish, RunResult& result) {
  container.directory.unlock();
  runtime::TimeLimit limit;
  limit.milliseconds = static_cast<int>(wish.timeout_milliseconds.value_or(-1));
  auto exit =
      runtime::supervise_foreground(container.init, signals, std::move(container.terminal), &limit);
  if (!exit) {
    (void)container.init.send_signal(SIGKILL);
    (void)container.init.wait();
    return std::unexpected(std::move(exit).error());
  }
  result.exit = *exit;
  result.timed_out = limit.reached;
  result.finished = runtime::now_rfc3339();
  return {};
}

// What the kernel has accounted, where anybody will see it: to read it takes as long as to remove
// the groups.
void account(RunResult& result, const runtime::Container& container, const RunOptions& options,
             const Warn& warn) {
  const bool killed = result.exit.shell_code() == 128 + SIGKILL && !result.timed_out;
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
                            snapshot_of(prepared, options)));
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
  TRY_ASSIGN(runtime::Container container, launch(prepared, options, composed, root));
  result.started = container.record.created;
  for (const auto* warnings : {&prepared.warnings, &container.warnings})
    for (const std::string& warning : *warnings) warn(warning);

  auto stood_by = stand_by(container, signals, prepared.wish, result);
  if (stood_by) account(result, container, options, warn);
  auto discarded = runtime::discard(std::move(container), composed.spec);
  if (!stood_by) return std::unexpected(std::move(stood_by).error());
  // The program has run: what fails from here on must not hide how it ended.
  if (!discarded) warn(discarded.error().message());
  auto settled = options.remove ? std::move(holdings).give_back(prepared.wish.volumes)
                                : std::move(holdings).keep(encode(result));
  if (!settled) warn(settled.error().message());
  if (!options.result_file.empty()) TRY(write_result_file(options.result_file, result));
  return result;
}

}  // namespace bulkhead::engine
