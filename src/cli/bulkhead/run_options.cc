#include "cli/bulkhead/run_options.h"

namespace bulkhead::cli::engine {
namespace {

constexpr std::string_view kNetworks = "networks of the container's own do not exist yet";
constexpr std::string_view kUseHost =
    "--network none (the default) or --network host are what there is";
constexpr std::string_view kForeground = "a run in the foreground cannot be left";

constexpr std::string_view kWindows = "it is an option of Windows";

constexpr Unsupported kUnsupported[] = {
    {"add-host", 0, kNetworks, "bind a file of your own with --volume FILE:/etc/hosts:ro"},
    {"attach", 'a', "standard input, output and error are always ours",
     "redirect them in the shell; --interactive opens the input"},
    {"cpu-count", 0, kWindows, "--cpus limits CPU time"},
    {"cpu-percent", 0, kWindows, "--cpus limits CPU time"},
    {"detach-keys", 0, kForeground, "run it with --detach, and attach to it"},
    {"disable-content-trust", 0, "Docker's content trust is not used", "leave it out"},
    {"dns", 0, kNetworks, "bind a file of your own with --volume FILE:/etc/resolv.conf:ro"},
    {"dns-option", 0, kNetworks, "bind a file of your own with --volume FILE:/etc/resolv.conf:ro"},
    {"dns-search", 0, kNetworks, "bind a file of your own with --volume FILE:/etc/resolv.conf:ro"},
    {"io-maxbandwidth", 0, kWindows, "--device-read-bps and --device-write-bps limit disks"},
    {"io-maxiops", 0, kWindows, "--device-read-iops and --device-write-iops limit disks"},
    {"ip", 0, kNetworks, kUseHost},
    {"ip6", 0, kNetworks, kUseHost},
    {"isolation", 0, kWindows, "leave it out"},
    {"kernel-memory", 0, "Linux has no such limit any more", "--memory counts the kernel's, too"},
    {"link", 0, "links are Docker's past", kUseHost},
    {"link-local-ip", 0, kNetworks, kUseHost},
    {"mac-address", 0, kNetworks, kUseHost},
    {"network-alias", 0, kNetworks, kUseHost},
    {"platform", 0, "only images of this machine's architecture are run",
     "name an image of this architecture"},
    {"publish", 'p', kNetworks, "--network host opens the host's ports themselves"},
    {"publish-all", 'P', kNetworks, "--network host opens the host's ports themselves"},
    {"quiet", 'q', "there is no output of a pull to leave out", "leave it out"},
    {"use-api-socket", 0, "there is no daemon, and no socket of one",
     "give the container what it needs by --volume"},
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
      {"rm", 0, &run.remove, "", "remove the container when it has ended", ValueKind::kText,
       "Options"},
      {"interactive", 'i', &run.interactive, "", "let the container read our standard input"},
      {"tty", 't', &run.terminal, "", "give the container a terminal"},
      {"name", 0, &run.name, "NAME", "what to call the container (default: its id)"},
      {"pull", 0, &run.pull, "WHEN", "missing (default), always or never"},
      {"detach", 'd', &run.detach, "", "leave it running, and print its id"},
      {"restart", 0, &run.restart, "POLICY",
       "with --detach, when it has ended: no (default), on-failure[:N], always, unless-stopped"},
      {"runtime", 0, &run.runtime, "RUNTIME",
       "another OCI runtime: crun, runc, or the path of one (default: bulkhead)", ValueKind::kFile},
      {"log-driver", 0, &run.log_driver, "DRIVER",
       "with --detach: json-file (default), journald or none"},
      {"log-opt", 0, &run.log_options, "NAME=VALUE",
       "max-size=100m and max-file=2 are the defaults, max-size=-1: no limit; compress=true; "
       "labels=NAME,.. env=NAME,.. tag=TEMPLATE: said in each entry"},
      {"cidfile", 0, &run.container_id_file, "FILE", "write the container's id into a new file",
       ValueKind::kFile},
      {"user", 'u', &run.user, "USER", "run as UID[:GID] or NAME[:GROUP] of the image"},
      {"group-add", 0, &run.group_add, "GROUP", "run in this group of the image, too"},
      {"workdir", 'w', &run.workdir, "DIR", "start in this directory of the container"},
      {"hostname", 'h', &run.hostname, "NAME", "host name (default: 12 digits of the id)"},
      {"domainname", 0, &run.domainname, "NAME", "NIS domain name"},
      {"env", 'e', &run.env, "NAME=VALUE", "set a variable; NAME alone takes ours"},
      {"env-file", 0, &run.env_files, "FILE", "set the variables that stand in a file",
       ValueKind::kFile},
      {"entrypoint", 0, &run.entrypoint, "PROGRAM", "run this instead of the image's entrypoint"},
      {"init", 0, &run.init, "", "an init as process 1, which passes signals on and reaps orphans"},
      {"sig-proxy", 0, &run.pass_signals, "", "pass our signals on (default: true)"},
      {"stop-signal", 0, &run.stop_signal, "SIGNAL",
       "what asks the container to end (default: the image's, SIGTERM)"},
      {"stop-timeout", 0, &run.stop_timeout, "SECONDS",
       "how long it may take to end (default: 10)"},
      {"health-cmd", 0, &run.health_command, "COMMAND",
       "whether it is well: run in it by its shell, 0 is healthy (default: the image's)"},
      {"health-interval", 0, &run.health_interval, "DURATION",
       "the time between two checks (default: 30s)"},
      {"health-timeout", 0, &run.health_timeout, "DURATION",
       "how long a check may take (default: 30s)"},
      {"health-retries", 0, &run.health_retries, "NUMBER",
       "failures in a row that make it unhealthy (default: 3)"},
      {"health-start-period", 0, &run.health_start_period, "DURATION",
       "after its start, when failures do not count (default: 0s)"},
      {"health-start-interval", 0, &run.health_start_interval, "DURATION",
       "the time between two checks in that period (default: 5s)"},
      {"no-healthcheck", 0, &run.no_health_check, "", "run no check, not even the image's"},
      {"timeout", 0, &run.timeout, "DURATION", "kill the container after 30s, 5m, 1h30m"},
      {"output-limit", 0, &run.output_limit, "SIZE",
       "end the container when it has written more than 10m, 1g"},
      {"result", 0, &run.result_file, "FILE",
       "write how it ended as JSON: exit code, signal, OOM kill, timeout, memory, CPU time",
       ValueKind::kFile},
      {"label", 'l', &run.labels, "NAME=VALUE", "a label", ValueKind::kText,
       "Recorded with the container"},
      {"label-file", 0, &run.label_files, "FILE", "the labels that stand in a file",
       ValueKind::kFile},
      {"annotation", 0, &run.annotations, "NAME=VALUE", "an annotation of the OCI specification"},
      {"expose", 0, &run.expose, "PORT[/PROTO]", "a port that the program listens on"},
      {"tenant", 0, &run.tenant, "NAME", "whose container it is: tenants share no namespaces"},
      {"read-only", 0, &run.read_only, "", "make the root file system read-only", ValueKind::kText,
       "Files"},
      {"volume", 'v', &run.volumes, "[SRC:]DST[:OPTS]",
       "show a path of the host (ro, noidmap, noexec, bind, rslave), or a volume by its name (ro, "
       "nocopy, noexec); DST alone: a new volume, which goes with --rm"},
      {"volumes-from", 0, &run.volumes_from, "CONTAINER[:ro]",
       "what another container has by --volume and --mount"},
      {"volume-driver", 0, &run.volume_driver, "DRIVER", "local (default)"},
      {"mount", 0, &run.mounts, "FIELDS",
       "type=bind|tmpfs|volume,source=PATH|NAME,target=PATH,readonly, ..."},
      {"tmpfs", 0, &run.tmpfs, "DST[:OPTS]",
       "an empty file system in memory: size=64m, mode=1777, exec"},
      {"shm-size", 0, &run.shm_size, "SIZE", "size of /dev/shm (default: 64m)"},
      {"storage", 0, &run.storage, "WAY",
       "layers as directories (overlay, the default) or as EROFS images (erofs)"},
      {"storage-opt", 0, &run.storage_options, "OPTION",
       "size=10g: limit of the root file system; limit=quota|image|tmpfs: how; directio: a page "
       "cache of its own (erofs)"},
      {"memory", 'm', &run.memory, "SIZE", "limit of memory, such as 512m; -1 for none",
       ValueKind::kText, "Limits"},
      {"memory-swap", 0, &run.memory_swap, "SIZE",
       "limit of memory and swap together; -1 for none"},
      {"memory-reservation", 0, &run.memory_reservation, "SIZE",
       "what it is left with when memory runs out"},
      {"memory-swappiness", 0, &run.memory_swappiness, "NUMBER",
       "0 to 100: how readily it is swapped out (cgroup v1)"},
      {"oom-kill-disable", 0, &run.oom_kill_disable, "",
       "stand still at the limit of memory (cgroup v1)"},
      {"oom-score-adj", 0, &run.oom_score_adj, "NUMBER", "-1000 to 1000: who is killed first"},
      {"cpus", 0, &run.cpus, "NUMBER", "limit of CPU time, such as 1.5"},
      {"cpu-shares", 'c', &run.cpu_shares, "NUMBER", "weight of CPU time, 1024 is usual"},
      {"cpu-period", 0, &run.cpu_period, "MICROSECONDS", "period of --cpu-quota"},
      {"cpu-quota", 0, &run.cpu_quota, "MICROSECONDS", "CPU time in each period; -1 for no limit"},
      {"cpu-rt-period", 0, &run.cpu_rt_period, "MICROSECONDS",
       "period of --cpu-rt-runtime (cgroup v1)"},
      {"cpu-rt-runtime", 0, &run.cpu_rt_runtime, "MICROSECONDS",
       "real-time CPU time in each period (cgroup v1)"},
      {"cpuset-cpus", 0, &run.cpuset_cpus, "LIST", "processors, such as 0-3,7"},
      {"cpuset-mems", 0, &run.cpuset_mems, "LIST", "memory nodes, such as 0,1"},
      {"pids-limit", 0, &run.pids_limit, "NUMBER", "limit of processes; -1 for none"},
      {"blkio-weight", 0, &run.blkio_weight, "NUMBER", "weight of disk time, 10 to 1000"},
      {"blkio-weight-device", 0, &run.blkio_weight_device, "DISK:NUMBER", "the same for one disk"},
      {"device-read-bps", 0, &run.device_read_bps, "DISK:RATE",
       "bytes read in a second, such as /dev/sda:10mb"},
      {"device-write-bps", 0, &run.device_write_bps, "DISK:RATE", "bytes written in a second"},
      {"device-read-iops", 0, &run.device_read_iops, "DISK:NUMBER", "reads in a second"},
      {"device-write-iops", 0, &run.device_write_iops, "DISK:NUMBER", "writes in a second"},
      {"ulimit", 0, &run.ulimits, "NAME=SOFT[:HARD]", "a resource limit, such as nofile=1024:2048"},
      {"preset", 0, &run.preset, "NAME", "untrusted: for code that nobody vouches for",
       ValueKind::kText, "Isolation"},
      {"network", 0, &run.network, "MODE", "none (default) or host"},
      {"net", 0, &run.network},
      {"cap-add", 0, &run.cap_add, "CAP", "add a capability, or ALL"},
      {"cap-drop", 0, &run.cap_drop, "CAP", "take a capability away, or ALL"},
      {"security-opt", 0, &run.security_options, "OPTION",
       "no-new-privileges, seccomp=FILE|unconfined, apparmor=PROFILE, label=..., "
       "systempaths=unconfined, "
       "landlock=FILE"},
      {"userns", 0, &run.user_namespace, "MODE",
       "private (ids that nobody else has), host, container:NAME"},
      {"pid", 0, &run.pid_namespace, "MODE", "private, host, container:NAME"},
      {"ipc", 0, &run.ipc_namespace, "MODE", "private, shareable, none, host, container:NAME"},
      {"uts", 0, &run.uts_namespace, "MODE", "private, host"},
      {"cgroupns", 0, &run.cgroup_namespace, "MODE", "private, host"},
      {"cgroup-parent", 0, &run.cgroup_parent, "PATH",
       "the group above the container's (default: /bulkhead)"},
      {"time-offset", 0, &run.time_offset, "DURATION",
       "what its clocks since boot begin at (default: 0), or host"},
      {"sysctl", 0, &run.sysctls, "NAME=VALUE",
       "a kernel parameter of the container's own namespaces"},
      {"device", 0, &run.devices, "HOST[:DST[:rwm]]",
       "a device of the host, or a CDI device VENDOR/CLASS=NAME"},
      {"device-cgroup-rule", 0, &run.device_rules, "RULE",
       "allow more devices, such as 'c 189:* rwm'"},
      {"gpus", 0, &run.gpus, "WHICH", "all, a number or device=NAME, by CDI"},
      {"privileged", 0, &run.privileged, "", "no isolation but of the file system: opens the host"},
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
  options.words.assign(words.begin(), words.end());
  options.image = std::move(parsed.positional.front());
  options.command.assign(std::make_move_iterator(parsed.positional.begin() + 1),
                         std::make_move_iterator(parsed.positional.end()));
  return true;
}

std::string run_help(std::string_view usage) {
  bulkhead::engine::RunOptions options;
  std::string text = "Usage: " + std::string(usage) + "\n\n";
  text.append(kExplanation).append("\n").append(describe(run_options(options))).append(kDefaults);
  return text;
}

}  // namespace bulkhead::cli::engine
