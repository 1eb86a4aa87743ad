#include "cli/bulkhead/run_options.h"

namespace bulkhead::cli::engine {
namespace {

constexpr Unsupported kUnsupported[] = {
    {"add-host"},
    {"annotation"},
    {"attach", 'a'},
    {"blkio-weight"},
    {"blkio-weight-device"},
    {"cgroup-parent"},
    {"cgroupns"},
    {"cidfile"},
    {"cpu-period"},
    {"cpu-quota"},
    {"cpu-rt-period"},
    {"cpu-rt-runtime"},
    {"cpu-shares", 'c'},
    {"cpuset-cpus"},
    {"cpuset-mems"},
    {"detach", 'd'},
    {"detach-keys"},
    {"device"},
    {"device-cgroup-rule"},
    {"device-read-bps"},
    {"device-read-iops"},
    {"device-write-bps"},
    {"device-write-iops"},
    {"disable-content-trust"},
    {"dns"},
    {"dns-option"},
    {"dns-search"},
    {"domainname"},
    {"env-file"},
    {"expose"},
    {"gpus"},
    {"group-add"},
    {"health-cmd"},
    {"health-interval"},
    {"health-retries"},
    {"health-start-period"},
    {"health-timeout"},
    {"ip"},
    {"ip6"},
    {"ipc"},
    {"isolation"},
    {"kernel-memory"},
    {"label", 'l'},
    {"label-file"},
    {"link"},
    {"link-local-ip"},
    {"log-driver"},
    {"log-opt"},
    {"mac-address"},
    {"memory-reservation"},
    {"memory-swappiness"},
    {"mount"},
    {"net"},
    {"network-alias"},
    {"no-healthcheck"},
    {"oom-kill-disable"},
    {"oom-score-adj"},
    {"pid"},
    {"platform"},
    {"privileged"},
    {"publish", 'p'},
    {"publish-all", 'P'},
    {"quiet", 'q'},
    {"restart"},
    {"runtime"},
    {"shm-size"},
    {"sig-proxy"},
    {"stop-signal"},
    {"stop-timeout"},
    {"sysctl"},
    {"ulimit"},
    {"userns"},
    {"uts"},
    {"volume-driver"},
    {"volumes-from"},
};

constexpr std::string_view kExplanation =
    "Runs one command in a new container, in the foreground, and passes its exit code on.\n"
    "\n"
    "IMAGE is a name as bulkhead pull takes it (pulled when it is not on this host), busybox (it "
    "comes\n"
    "with Bulkhead), oci:DIRECTORY[:TAG], oci-archive:FILE[:TAG], or a path to either that begins\n"
    "with / or ./\n";

constexpr std::string_view kDefaults =
    "\nBy default: a user namespace of its own on host ids that nobody else has; no network but "
    "loopback;\n"
    "no new privileges; a seccomp profile and a capability set stricter than Docker's; 2048 "
    "processes;\n"
    "three quarters of the host's memory; bind mounts idmapped one to one, nosuid and nodev.\n"
    "\n"
    "Exit codes: the command's own; 128 and the signal that killed it; 125 Bulkhead failed; 126 "
    "the\n"
    "command cannot be executed; 127 there is no such command.\n"
    "\n"
    "Examples:\n"
    "  bulkhead run --rm -it busybox\n"
    "  bulkhead run --rm --memory 512m --cpus 1.5 busybox sh -c 'nproc; free -m'\n"
    "  bulkhead run --rm --read-only --tmpfs /tmp --user 1000:1000 busybox id\n"
    "  bulkhead run --rm -v ./data:/data:ro --timeout 30s --result result.json busybox ls /data\n"
    "  bulkhead explain run --cap-drop ALL busybox\n";

}  // namespace

std::vector<Option> run_options(bulkhead::engine::RunOptions& run) {
  return {
      {"rm", 0, &run.remove, "", "remove the container when it has ended"},
      {"interactive", 'i', &run.interactive, "", "let the container read our standard input"},
      {"tty", 't', &run.terminal, "", "give the container a terminal"},
      {"name", 0, &run.name, "NAME", "what to call the container (default: its id)"},
      {"user", 'u', &run.user, "USER", "run as UID[:GID] or NAME[:GROUP] of the image"},
      {"workdir", 'w', &run.workdir, "DIR", "start in this directory of the container"},
      {"hostname", 'h', &run.hostname, "NAME", "host name (default: 12 digits of the id)"},
      {"env", 'e', &run.env, "NAME=VALUE", "set a variable; NAME alone takes ours"},
      {"entrypoint", 0, &run.entrypoint, "PROGRAM", "run this instead of the image's entrypoint"},
      {"read-only", 0, &run.read_only, "", "make the root file system read-only"},
      {"init", 0, &run.init, "", "an init as process 1, which passes signals on and reaps orphans"},
      {"volume", 'v', &run.volumes, "SRC:DST[:OPTS]",
       "show a path of the host: ro, noidmap, noexec, bind, rslave"},
      {"tmpfs", 0, &run.tmpfs, "DST[:OPTS]",
       "an empty file system in memory: size=64m, mode=1777, exec"},
      {"network", 0, &run.network, "MODE", "none (default) or host"},
      {"pull", 0, &run.pull, "WHEN", "missing (default), always or never"},
      {"memory", 'm', &run.memory, "SIZE", "limit of memory, such as 512m; -1 for none"},
      {"memory-swap", 0, &run.memory_swap, "SIZE",
       "limit of memory and swap together; -1 for none"},
      {"cpus", 0, &run.cpus, "NUMBER", "limit of CPU time, such as 1.5"},
      {"pids-limit", 0, &run.pids_limit, "NUMBER", "limit of processes; -1 for none"},
      {"cap-add", 0, &run.cap_add, "CAP", "add a capability, or ALL"},
      {"cap-drop", 0, &run.cap_drop, "CAP", "take a capability away, or ALL"},
      {"security-opt", 0, &run.security_options, "OPTION",
       "no-new-privileges, seccomp=FILE|unconfined, apparmor=PROFILE, label=..., "
       "systempaths=unconfined, "
       "landlock=FILE"},
      {"storage", 0, &run.storage, "WAY",
       "layers as directories (overlay, the default) or as EROFS images (erofs)"},
      {"storage-opt", 0, &run.storage_options, "OPTION",
       "size=10g: limit of the root file system; limit=quota|image|tmpfs: how; directio: a page "
       "cache of its own (erofs)"},
      {"timeout", 0, &run.timeout, "DURATION", "kill the container after 30s, 5m, 1h30m"},
      {"result", 0, &run.result_file, "FILE",
       "write how it ended as JSON: exit code, signal, OOM kill, timeout, memory, CPU time",
       ValueKind::kFile},
  };
}

std::span<const Unsupported> unsupported_run_options() { return kUnsupported; }

Result<bool> parse_run(std::span<const std::string_view> words,
                       bulkhead::engine::RunOptions& options) {
  const std::vector<Option> table = run_options(options);
  TRY_ASSIGN(Words parsed, parse({table, kUnsupported}, words, Positionals::kEndOptions));
  if (parsed.help) return false;
  if (parsed.positional.empty())
    return fail(ErrorKind::kUsage, "no image is named",
                "bulkhead run IMAGE [COMMAND...]; busybox is one");
  options.image = std::move(parsed.positional.front());
  options.command.assign(std::make_move_iterator(parsed.positional.begin() + 1),
                         std::make_move_iterator(parsed.positional.end()));
  return true;
}

std::string run_help(std::string_view usage) {
  bulkhead::engine::RunOptions options;
  std::string text = "Usage: " + std::string(usage) + "\n\n";
  text.append(kExplanation)
      .append("\nOptions:\n")
      .append(describe(run_options(options)))
      .append(kDefaults);
  return text;
}

}  // namespace bulkhead::cli::engine
