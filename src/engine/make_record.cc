#include "engine/make_record.h"

#include "base/text.h"
#include "engine/container_volumes.h"
#include "engine/holdings.h"
#include "engine/values.h"
#include "runtime/record.h"

namespace bulkhead::engine {
namespace {

// A program that never stops talking does not fill the disk.
constexpr std::int64_t kDefaultLogBytes = 100 << 20;
constexpr std::int32_t kDefaultLogFiles = 2;
constexpr std::int32_t kMostLogFiles = 1000;

std::unexpected<Error> refuse(std::string_view option, std::string_view why,
                              std::string hint = {}) {
  return fail(ErrorKind::kUsage, "--log-opt " + quoted(option) + ": " + std::string(why),
              std::move(hint));
}

Result<void> read_log_option(std::string_view option, supervise::LogSettings& log) {
  std::string_view value = option;
  const std::string_view name = next_field(value, '=');
  if (log.driver != supervise::LogDriver::kJsonFile)
    return refuse(option, "this log driver has no such option", "json-file has it");
  if (name == "max-size") {
    if (value == "-1") {
      log.most_bytes = -1;
      return {};
    }
    const auto bytes = parse_bytes(value);
    if (!bytes || *bytes < 4096)
      return refuse(option, "a size such as 10m is expected, at least 4k, or -1 for no limit");
    log.most_bytes = *bytes;
  } else if (name == "max-file") {
    const auto files = parse_number<std::int32_t>(value);
    if (!files || *files < 1 || *files > kMostLogFiles)
      return refuse(option, "a number from 1 to 1000 is expected");
    log.most_files = *files;
  } else {
    return refuse(option, "there is no such option", "json-file has max-size and max-file");
  }
  return {};
}

Result<supervise::LogSettings> read_log_choice(const RunOptions& options) {
  supervise::LogSettings log;
  log.most_bytes = kDefaultLogBytes;
  log.most_files = kDefaultLogFiles;
  if (options.log_driver == "none")
    log.driver = supervise::LogDriver::kNone;
  else if (options.log_driver != "json-file")
    return fail(ErrorKind::kUsage,
                "--log-driver " + quoted(options.log_driver) + ": there is no such driver",
                "there are json-file and none");
  for (const std::string& option : options.log_options) TRY(read_log_option(option, log));
  return log;
}

// What a start from the record cannot make again; empty: nothing.
std::string unrepeatable(const Prepared& prepared) {
  if (prepared.joined) return "it shares namespaces of another container";
  if (!prepared.circumstances.devices.empty() && !prepared.wish.sharing.user.host())
    return "it was given devices of the host";
  if (prepared.limit) return "the size of its root file system is limited";
  return {};
}

}  // namespace

Result<LifeChoices> read_life_choices(const RunOptions& options) {
  LifeChoices choices;
  TRY_ASSIGN(choices.restart, supervise::parse_restart_policy(options.restart));
  if (options.remove && choices.restart.kind != supervise::RestartKind::kNo)
    return fail(ErrorKind::kUsage, "--restart and --rm contradict each other");
  TRY_ASSIGN(choices.log, read_log_choice(options));
  return choices;
}

ContainerRecord make_record(const RunOptions& options, const Prepared& prepared,
                            const Composed& composed) {
  const LifeChoices choices = read_life_choices(options).value_or(LifeChoices{});
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
  record.log = choices.log;
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
  life.timed_out = result.timed_out;
  life.peak_memory_bytes = result.peak_memory_bytes;
  life.cpu_nanoseconds = result.cpu_nanoseconds;
  return life;
}

}  // namespace bulkhead::engine
