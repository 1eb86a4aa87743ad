#include "engine/inspect.h"

#include <unistd.h>

#include "base/text.h"
#include "engine/detached.h"
#include "engine/inspect_details.h"
#include "engine/inspect_layers.h"
#include "engine/log_choice.h"
#include "engine/prepare.h"
#include "engine/registry.h"
#include "json/writer.h"
#include "oci/decode.h"
#include "runtime/record.h"
#include "runtime/signal_name.h"
#include "storage/store.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kLargestConfig = 16 << 20;
constexpr std::string_view kNoTime = "0001-01-01T00:00:00Z";  // Go's zero time, as Docker has it

// The configuration that a start carries out, or that the runtime has carried out.
Result<oci::Spec> configuration(const StoreOptions& options, const ListedContainer& container,
                                int directory) {
  auto text = read_file_at(directory, kConfigFile, kLargestConfig);
  if (!text) {
    TRY_ASSIGN(const auto running,
               runtime::ContainerDirectory::open(state_root_of(options), container.id));
    TRY_ASSIGN(text, running.read_config());
  }
  return oci::decode_spec(*text);
}

class Document {
 public:
  Document(const StoreOptions& options, const ListedContainer& container, const oci::Spec& spec)
      : options_(options), container_(container), spec_(spec), writer_(text_) {}

  std::string take() {
    writer_.begin_object();
    writer_.member("Id", container_.id);
    writer_.member("Created", container_.created);
    // As it was asked for: an init of ours in front is none of it.
    const auto& arguments = record() ? record()->arguments : spec_.process->args;
    writer_.member("Path", arguments.front());
    list("Args", {arguments.begin() + 1, arguments.end()});
    state();
    writer_.member("Image", record() ? "sha256:" + record()->image_id : std::string());
    writer_.member("LogPath", log_path());
    writer_.member("Name", "/" + container_.name);
    writer_.member("RestartCount", container_.life.restarts);
    writer_.member("Driver", "overlay");
    writer_.member("Platform", "linux");
    writer_.member("MountLabel", spec_.linux_.mount_label);
    writer_.member("ProcessLabel", spec_.process->selinux_label.value_or(""));
    writer_.member("AppArmorProfile", spec_.process->apparmor_profile.value_or(""));
    host_config();
    mounts();
    config();
    network_settings();
    write_layers(writer_, spec_, container_.pid);
    writer_.end_object();
    return std::move(text_);
  }

 private:
  const ContainerRecord* record() const {
    return container_.record ? &*container_.record : nullptr;
  }

  void list(std::string_view name, const std::vector<std::string>& values) {
    writer_.key(name);
    writer_.begin_array();
    for (const std::string& value : values) writer_.string(value);
    writer_.end_array();
  }
  // Docker writes null for a list that nobody gave.
  void list_or_null(std::string_view name, const std::vector<std::string>& values) {
    if (!values.empty()) return list(name, values);
    writer_.key(name);
    writer_.null();
  }

  std::string log_path() const {
    if (!record() || record()->log.driver != supervise::LogDriver::kJsonFile) return {};
    return options_.root + "/" + container_path(container_.id) + "/" + supervise::kLogFile;
  }

  void state() {
    const LifeRecord& life = container_.life;
    const ContainerStatus status = container_.status;
    const bool alive = runs(status);
    const auto time = [](const std::string& text) {
      return text.empty() ? kNoTime : std::string_view(text);
    };
    writer_.key("State");
    writer_.begin_object();
    writer_.member("Status", name_of(status));
    writer_.member("Running", alive || status == ContainerStatus::kRestarting);
    writer_.member("Paused", status == ContainerStatus::kPaused);
    writer_.member("Restarting", status == ContainerStatus::kRestarting);
    writer_.member("OOMKilled", life.oom_killed);
    writer_.member("Dead", status == ContainerStatus::kDead);
    writer_.member("Pid", alive ? container_.pid : 0);
    writer_.member("ExitCode", alive ? 0 : life.exit_code);
    writer_.member("Error", life.error);
    writer_.member("StartedAt", time(container_.started));
    writer_.member("FinishedAt", time(life.finished));
    writer_.member("TimedOut", life.timed_out);
    writer_.member("OutputLimited", life.output_limited);
    if (life.oom_kills > 0) writer_.member("OOMKills", life.oom_kills);
    if (!life.oom_victim.empty()) writer_.member("OOMVictim", life.oom_victim);
    if (life.peak_memory_bytes) writer_.member("PeakMemory", *life.peak_memory_bytes);
    if (life.cpu_nanoseconds) writer_.member("CpuNanoseconds", *life.cpu_nanoseconds);
    if (container_.health) health(*container_.health);
    writer_.end_object();
  }

  void health(const HealthRecord& health) {
    writer_.key("Health");
    writer_.begin_object();
    writer_.member("Status", name_of(health.health));
    writer_.member("FailingStreak", health.failing_streak);
    writer_.key("Log");
    writer_.begin_array();
    for (const HealthResult& result : health.log) {
      writer_.begin_object();
      writer_.member("Start", result.start);
      writer_.member("End", result.end);
      writer_.member("ExitCode", result.exit_code);
      writer_.member("Output", result.output);
      writer_.end_object();
    }
    writer_.end_array();
    writer_.end_object();
  }

  // In nanoseconds, as Docker has it.
  void health_check(const HealthCheck& check) {
    const supervise::HealthSettings& settings = check.settings;
    constexpr std::int64_t kNanoseconds = 1'000'000;
    writer_.key("Healthcheck");
    writer_.begin_object();
    list("Test", check.test);
    writer_.member("Interval", settings.interval * kNanoseconds);
    writer_.member("Timeout", settings.timeout * kNanoseconds);
    writer_.member("StartPeriod", settings.start_period * kNanoseconds);
    writer_.member("StartInterval", settings.start_interval * kNanoseconds);
    writer_.member("Retries", settings.retries);
    writer_.end_object();
  }

  void resources() {
    const oci::Resources resources = spec_.linux_.resources.value_or(oci::Resources{});
    const auto number = [](const auto& value) { return value.value_or(0); };
    std::int64_t cpus = 0;
    if (resources.cpu && resources.cpu->quota.value_or(-1) > 0 && resources.cpu->period)
      cpus = *resources.cpu->quota * 1'000'000'000 /
             static_cast<std::int64_t>(std::max<std::uint64_t>(*resources.cpu->period, 1));
    writer_.member("Memory", resources.memory ? number(resources.memory->limit) : 0);
    writer_.member("MemorySwap", resources.memory ? number(resources.memory->swap) : 0);
    writer_.member("MemoryReservation",
                   resources.memory ? number(resources.memory->reservation) : 0);
    writer_.member("NanoCpus", cpus);
    writer_.member("CpuShares", resources.cpu ? number(resources.cpu->shares) : 0);
    writer_.member("CpusetCpus", resources.cpu ? resources.cpu->cpus.value_or("") : std::string());
    writer_.member("CpusetMems", resources.cpu ? resources.cpu->mems.value_or("") : std::string());
    writer_.key("PidsLimit");
    if (resources.pids_limit)
      writer_.integer(*resources.pids_limit);
    else
      writer_.null();
  }

  void host_config() {
    const ContainerRecord none;
    const ContainerRecord& known = record() ? *record() : none;
    writer_.key("HostConfig");
    writer_.begin_object();
    list_or_null("Binds", known.binds);
    writer_.key("LogConfig");
    writer_.begin_object();
    writer_.member("Type", name_of(known.log.driver));
    writer_.key("Config");
    writer_.begin_object();
    for (const auto& [name, value] : log_options_of(known.log, known.log_options))
      writer_.member(name, value);
    writer_.end_object();
    writer_.end_object();
    writer_.member("Runtime", known.runtime.empty() ? "bulkhead" : known.runtime);
    writer_.member("NetworkMode", known.network);
    writer_.key("RestartPolicy");
    writer_.begin_object();
    writer_.member("Name", name_of(known.restart.kind));
    writer_.member("MaximumRetryCount", known.restart.most);
    writer_.end_object();
    writer_.member("AutoRemove", known.remove);
    list_or_null("CapAdd", known.capabilities_added);
    list_or_null("CapDrop", known.capabilities_dropped);
    list_or_null("SecurityOpt", known.security_options);
    writer_.member("Privileged", known.given.privileged);
    writer_.member("ReadonlyRootfs", spec_.root && spec_.root->readonly);
    writer_.key("Tmpfs");
    writer_.begin_object();
    for (const std::string& text : known.tmpfs) {
      std::string_view rest = text;
      const std::string_view destination = next_field(rest, ':');
      writer_.member(destination, rest);
    }
    writer_.end_object();
    list("MaskedPaths", spec_.linux_.masked_paths);
    list("ReadonlyPaths", spec_.linux_.readonly_paths);
    resources();
    write_host_details(writer_, spec_, known.given);
    writer_.end_object();
  }

  // Records of programs before volumes have the words of --volume alone, all of them binds.
  std::vector<MountRecord> recorded_mounts() const {
    if (!record() || !record()->mounts.empty())
      return record() ? record()->mounts : std::vector<MountRecord>();
    std::vector<MountRecord> mounts;
    for (const std::string& text : record()->binds) {
      const auto volume = parse_volume(text);
      if (!volume || volume->is_volume) continue;
      MountRecord mount;
      mount.source = volume->source;
      mount.destination = volume->destination;
      mount.read_only = volume->read_only;
      mounts.push_back(std::move(mount));
    }
    return mounts;
  }

  void mounts() {
    writer_.key("Mounts");
    writer_.begin_array();
    for (const MountRecord& each : recorded_mounts()) {
      writer_.begin_object();
      writer_.member("Type", each.is_volume ? "volume" : "bind");
      if (each.is_volume) writer_.member("Name", each.name);
      writer_.member("Source", each.source);
      writer_.member("Destination", each.destination);
      if (each.is_volume) writer_.member("Driver", "local");
      std::string mode = each.read_only ? "ro" : "";
      std::string propagation = each.is_volume ? "" : "rprivate";
      for (const std::string& option : each.options) {
        if (option.ends_with("private") || option.ends_with("slave"))
          propagation = option;
        else
          mode.append(mode.empty() ? "" : ",").append(option);
      }
      writer_.member("Mode", mode);
      writer_.member("RW", !each.read_only);
      writer_.member("Propagation", propagation);
      writer_.end_object();
    }
    writer_.end_array();
  }

  void config() {
    const oci::Process& process = *spec_.process;
    writer_.key("Config");
    writer_.begin_object();
    writer_.member("Hostname", spec_.hostname);
    writer_.member("Domainname", spec_.domainname);
    writer_.member("User", record() ? record()->user : std::string());
    writer_.member("AttachStdin", record() && record()->stdin_once);
    writer_.member("AttachStdout", record() && record()->given.attached);
    writer_.member("AttachStderr", record() && record()->given.attached);
    write_exposed_ports(writer_, spec_);
    writer_.member("Tty", process.terminal);
    writer_.member("OpenStdin", record() && record()->open_stdin);
    writer_.member("StdinOnce", record() && record()->stdin_once);
    list("Env", process.env);
    list_or_null("Cmd", record() ? record()->command : process.args);
    writer_.member("Image", container_.image);
    writer_.member("WorkingDir", process.cwd);
    list_or_null("Entrypoint", record() ? record()->entrypoint : std::vector<std::string>());
    writer_.key("Labels");
    writer_.begin_object();
    if (record())
      for (const auto& [key, value] : record()->labels) writer_.member(key, value);
    writer_.end_object();
    if (record() && record()->health.enabled()) health_check(record()->health);
    if (!container_.stop_signal.empty())
      writer_.member("StopSignal", runtime::signal_name(container_.stop_signal));
    writer_.member("StopTimeout", container_.stop_timeout);
    writer_.end_object();
  }

  // No addresses: a container has loopback alone, or the host's network.
  void network_settings() {
    writer_.key("NetworkSettings");
    writer_.begin_object();
    writer_.member("SandboxKey", runs(container_.status)
                                     ? "/proc/" + std::to_string(container_.pid) + "/ns/net"
                                     : std::string());
    writer_.key("Ports");
    writer_.begin_object();
    writer_.end_object();
    write_no_addresses(writer_);
    writer_.key("Networks");
    writer_.begin_object();
    if (record() && !record()->network.empty()) {
      writer_.key(record()->network);
      writer_.begin_object();
      writer_.member("IPAddress", "");
      writer_.end_object();
    }
    writer_.end_object();
    writer_.end_object();
  }

  const StoreOptions& options_;
  const ListedContainer& container_;
  const oci::Spec& spec_;
  std::string text_;
  json::Writer writer_;
};

}  // namespace

Result<std::string> inspect(const StoreOptions& options, const ListedContainer& container) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const Fd directory, open_container(store.get(), container.id));
  TRY_ASSIGN(const oci::Spec spec, configuration(options, container, directory.get()));
  if (!spec.process || spec.process->args.empty())
    return fail(ErrorKind::kInvalid, "the container's configuration names no program");
  return Document(options, container, spec).take();
}

}  // namespace bulkhead::engine
