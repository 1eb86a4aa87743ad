#include "engine/launching.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <functional>

#include "engine/adopting.h"
#include "engine/container_volumes.h"
#include "engine/ending.h"
#include "engine/events.h"
#include "engine/foreign_launch.h"
#include "engine/log_choice.h"
#include "engine/overlay_root.h"
#include "engine/prepare.h"
#include "runtime/create.h"
#include "runtime/oom_watch.h"
#include "runtime/remove.h"
#include "runtime/run.h"
#include "storage/image_name.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

struct Pipe {
  Fd read_end;
  Fd write_end;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

std::uint32_t on_the_host(std::uint32_t id, const std::vector<oci::IdMapping>& mappings) {
  for (const oci::IdMapping& mapping : mappings)
    if (id >= mapping.container_id && id - mapping.container_id < mapping.size)
      return mapping.host_id + (id - mapping.container_id);
  return id;
}

// Programs open /dev/stdout anew, as who they are: the pipe must be theirs.
Result<void> give_to_user(int fd, const oci::Spec& spec) {
  const oci::User& user = spec.process->user;
  if (::fchown(fd, on_the_host(user.uid.value(), spec.linux_.uid_mappings),
               on_the_host(user.gid.value(), spec.linux_.gid_mappings)) != 0)
    return std::unexpected(Error(SysError{"fchown", errno}).within("the container's output"));
  return {};
}

Result<void> stand_in_for(int stream, int fd) {
  if (::dup2(fd, stream) < 0) return std::unexpected(Error(SysError{"dup2", errno}));
  return {};
}

// A pipe as the container's standard output. It is open for reading in the container, too: should the
// monitor die, whoever writes is not killed by SIGPIPE.
Result<Fd> output_pipe(int stream, const oci::Spec& spec) {
  TRY_ASSIGN(Pipe pipe, make_pipe());
  char path[40];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", pipe.write_end.get());
  TRY_ASSIGN(const Fd both, open_at(AT_FDCWD, path, O_RDWR));
  TRY(give_to_user(both.get(), spec));
  TRY(stand_in_for(stream, both.get()));
  return std::move(pipe.read_end);
}

// Makes the launcher's standard streams those of the container.
Result<void> arrange_streams(const ToLaunch& container, supervise::Launched& launched) {
  if (container.spec.process->terminal) return {};
  if (container.record.open_stdin) {
    TRY_ASSIGN(Pipe pipe, make_pipe());
    TRY(give_to_user(pipe.read_end.get(), container.spec));
    TRY(stand_in_for(STDIN_FILENO, pipe.read_end.get()));
    launched.input = std::move(pipe.write_end);
  } else {
    TRY_ASSIGN(const Fd nothing, open_at(AT_FDCWD, "/dev/null", O_RDONLY));
    TRY(stand_in_for(STDIN_FILENO, nothing.get()));
  }
  TRY_ASSIGN(launched.output, output_pipe(STDOUT_FILENO, container.spec));
  TRY_ASSIGN(launched.error, output_pipe(STDERR_FILENO, container.spec));
  return {};
}

// Where our init stands in the container: by what it is, for a user may have named the place himself.
std::vector<std::string> place_of_our_init(const oci::Spec& spec) {
  for (const oci::Mount& mount : spec.mounts) {
    if (mount.destination != kInitPath) continue;
    const auto ours = storage::find_helper("bulkhead-init");
    if (ours && *ours == mount.source) return {mount.destination};
  }
  return {};
}

Result<runtime::Container> make(const ToLaunch& container, OverlayRoot& root) {
  runtime::CreateOptions create;
  create.common.state_root = state_root_of(container.store);
  create.id = container.record.id;
  const std::vector<std::string> own_mounts = place_of_our_init(container.spec);
  return runtime::make_container({.options = create,
                                  .spec = container.spec,
                                  .config_json = container.config,
                                  .bundle = container.bundle,
                                  .start_mode = runtime::StartMode::kStartAtOnce,
                                  .defaults = container.record.defaults,
                                  .root_maker = &root,
                                  .handed_mounts = container.handed_mounts,
                                  .image = container.record.image,
                                  .opened = container.record.opened,
                                  .own_mounts = own_mounts});
}

}  // namespace

supervise::OomNotice watch_memory(std::span<const std::string> groups) {
  auto watch = runtime::OomWatch::start(groups);
  if (!watch || !*watch) return {};
  auto [notice, counter] = std::move(**watch).take();
  return {std::move(notice), std::move(counter)};
}

supervise::Settings settings_of(const ContainerRecord& record) {
  supervise::Settings settings;
  settings.restart = record.restart;
  settings.timeout_milliseconds = record.timeout_milliseconds;
  settings.most_output_bytes = record.output_bytes;
  settings.log = record.log;
  settings.health = record.health.settings;
  settings.terminal = record.terminal;
  settings.stdin_once = record.stdin_once;
  return settings;
}

namespace {

// `undo`: when no monitor stands by it.
Result<void> hand_over(const ToLaunch& container, supervise::Launched& launched,
                       const std::string& created, const supervise::Handover& handover,
                       const std::function<void()>& undo) {
  LifeRecord life;
  life.status = LifeStatus::kRunning;
  life.started = created;
  life.restarts = container.restarts;
  // Before anybody can see it end.
  record_mounts(container.store, container.record.id, container.record.mounts, "mount");
  record_event(container.store, EventSubject::of(container.record), "start");
  const auto handed = [&]() -> Result<void> {
    if (launched.error) {
      TRY_ASSIGN(life.output_pipe, pipe_number(launched.output.get()));
      TRY_ASSIGN(life.error_pipe, pipe_number(launched.error.get()));
    }
    launched.directory = Fd(::fcntl(container.directory.get(), F_DUPFD_CLOEXEC, 0));
    TRY(write_life_record(container.directory.get(), life));
    if (container.record.health.enabled()) TRY(reset_health_record(container.directory.get()));
    return handover.give(launched);
  }();
  if (handed) return {};
  (void)launched.init.send_signal(SIGKILL);
  (void)launched.init.wait();
  undo();
  record_event(container.store, EventSubject::of(container.record), "die", {{"exitCode", "137"}});
  record_mounts(container.store, container.record.id, container.record.mounts, "unmount");
  return handed;
}

// By another runtime.
Result<void> launch_foreign_for_monitor(const ToLaunch& container, supervise::Launched& launched,
                                        const supervise::Handover& handover) {
  TRY_ASSIGN(ForeignContainer made, launch_foreign(container));
  for (const std::string& warning : made.warnings) handover.warn(warning);
  launched.init = std::move(made.init);
  if (launched.settings.terminal) launched.output = std::move(made.terminal);
  return hand_over(container, launched, made.created, handover, [&] {
    (void)remove_from_runtime(state_root_of(container.store), container.record.id);
  });
}

}  // namespace

Result<void> launch_for_monitor(const ToLaunch& container, const supervise::Handover& handover) {
  TRY(check_log(container.record.log));
  // A monitor's mask, which a restart has, would hide the container's own groups from it (cgroup v2).
  TRY(set_umask(0022));
  supervise::Launched launched;
  launched.settings = settings_of(container.record);
  TRY(arrange_streams(container, launched));
  if (!container.record.runtime.empty())
    return launch_foreign_for_monitor(container, launched, handover);
  OverlayRoot root(container.snapshot);
  TRY_ASSIGN(runtime::Container made, make(container, root));
  made.directory.unlock();
  for (const std::string& warning : made.warnings) handover.warn(warning);
  launched.init = std::move(made.init);
  launched.oom = watch_memory(made.record.cgroup_directories);
  if (launched.settings.terminal) launched.output = std::move(made.terminal);
  const std::string created = made.record.created;
  return hand_over(container, launched, created, handover,
                   [&] { (void)runtime::discard(std::move(made), container.spec); });
}

}  // namespace bulkhead::engine
