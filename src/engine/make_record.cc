#include "engine/make_record.h"

#include "base/text.h"
#include "engine/container_volumes.h"
#include "engine/foreign_runtime.h"
#include "engine/holdings.h"
#include "engine/log_choice.h"
#include "runtime/record.h"

namespace bulkhead::engine {
namespace {

// What a start from the record cannot make again; empty: nothing.
std::string unrepeatable(const Prepared& prepared) {
  if (prepared.joined) return "it shares namespaces of another container";
  if (!prepared.circumstances.devices.empty() && !prepared.wish.sharing.user.host())
    return "it was given devices of the host";
  if (prepared.limit) return "the size of its root file system is limited";
  return {};
}

GivenWords given_words(const RunOptions& options) {
  GivenWords given;
  given.attached = !options.detach;
  given.privileged = options.privileged;
  given.init = options.init;
  given.group_add = options.group_add;
  given.devices = options.devices;
  given.device_rules = options.device_rules;
  given.ipc = options.ipc_namespace.value_or("");
  given.pid = options.pid_namespace.value_or("");
  given.uts = options.uts_namespace.value_or("");
  given.userns = options.user_namespace.value_or("");
  given.cgroupns = options.cgroup_namespace.value_or("");
  given.cgroup_parent = options.cgroup_parent.value_or("");
  return given;
}

}  // namespace

Result<LifeChoices> read_life_choices(const RunOptions& options) {
  LifeChoices choices;
  TRY_ASSIGN(choices.restart, supervise::parse_restart_policy(options.restart));
  if (options.remove && choices.restart.kind != supervise::RestartKind::kNo)
    return fail(ErrorKind::kUsage, "--restart and --rm contradict each other");
  TRY_ASSIGN(choices.log, read_log_choice(options));
  // In the foreground nothing is logged.
  if (options.detach) TRY(check_log(choices.log));
  TRY(check_health_flags(options));
  return choices;
}

Result<ContainerRecord> make_record(const RunOptions& options, const Prepared& prepared,
                                    const Composed& composed) {
  TRY_ASSIGN(const LifeChoices choices, read_life_choices(options));
  const Circumstances& circumstances = prepared.circumstances;
  const Wish& wish = prepared.wish;
  const auto& image = prepared.image.config;
  ContainerRecord record;
  record.id = circumstances.id;
  record.name = circumstances.name;
  record.image = circumstances.image;
  record.image_id = prepared.record.config_digest;
  record.created = runtime::now_rfc3339();
  record.layers = storage::lower_paths(prepared.record);
  record.id_places = places_of_ids(wish.volumes);
  record.arguments = composed.spec.process->args;
  record.run_words = options.words;
  TRY_ASSIGN(record.runtime, find_runtime(options.runtime));
  if (wish.init) record.arguments.erase(record.arguments.begin());
  record.entrypoint = image.entrypoint;
  if (wish.entrypoint)
    record.entrypoint = wish.entrypoint->empty() ? std::vector<std::string>()
                                                 : std::vector<std::string>{*wish.entrypoint};
  record.command.assign(
      record.arguments.begin() +
          static_cast<std::ptrdiff_t>(std::min(record.entrypoint.size(), record.arguments.size())),
      record.arguments.end());
  record.user = wish.user.value_or(image.user);
  record.stop_signal =
      wish.metadata.stop_signal ? std::to_string(*wish.metadata.stop_signal) : image.stop_signal;
  record.stop_timeout = wish.metadata.stop_timeout_seconds.value_or(10);
  record.timeout_milliseconds = wish.timeout_milliseconds.value_or(-1);
  record.restart = choices.restart;
  TRY_ASSIGN(record.log, compose_log(options, {.id = record.id,
                                               .name = record.name,
                                               .image = record.image,
                                               .image_id = record.image_id,
                                               .labels = composed.labels,
                                               .env = composed.spec.process->env}));
  record.log_options = options.log_options;
  record.output_bytes = wish.limits.output_bytes.value_or(-1);
  record.health = prepared.health;
  record.remove = options.remove;
  record.terminal = wish.terminal;
  record.open_stdin = options.interactive;
  record.stdin_once = options.interactive && !options.detach;
  record.defaults = composed.defaults;
  record.labels = composed.labels;
  record.unrepeatable = unrepeatable(prepared);
  record.network = options.network;
  record.opened = composed.opened;
  record.binds = options.volumes;
  record.mounts = mounts_of(wish);
  record.tmpfs = options.tmpfs;
  record.capabilities_added = options.cap_add;
  record.capabilities_dropped = options.cap_drop;
  record.security_options = options.security_options;
  record.given = given_words(options);
  return record;
}

LifeRecord life_of(const RunResult& result) {
  LifeRecord life;
  life.status = LifeStatus::kExited;
  life.started = result.started;
  life.finished = result.finished;
  life.exit_code = result.exit.shell_code();
  life.signal = result.exit.signal;
  life.oom_killed = result.oom_killed;
  life.oom_kills = result.oom_kills;
  life.oom_victim = result.oom_victim;
  life.timed_out = result.timed_out;
  life.output_limited = result.output_limited;
  life.peak_memory_bytes = result.peak_memory_bytes;
  life.cpu_nanoseconds = result.cpu_nanoseconds;
  return life;
}

}  // namespace bulkhead::engine
