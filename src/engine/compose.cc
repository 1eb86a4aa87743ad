#include "engine/compose.h"

#include <algorithm>

#include "base/text.h"
#include "engine/compose_mounts.h"
#include "engine/container_user.h"
#include "engine/preset.h"
#include "isolation/capabilities/default_set.h"
#include "isolation/landlock/landlock.h"
#include "isolation/masked_paths/default_paths.h"
#include "isolation/seccomp/default_profile.h"
#include "json/writer.h"
#include "oci/version.h"

namespace bulkhead::engine {
namespace {

constexpr std::string_view kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::uint64_t kPeriod = 100'000;  // microseconds

void set_variable(std::vector<std::string>& environment, std::string_view entry) {
  const std::string_view name = entry.substr(0, entry.find('='));
  for (std::string& existing : environment) {
    if (existing.size() > name.size() && existing[name.size()] == '=' &&
        existing.starts_with(name)) {
      existing = entry;
      return;
    }
  }
  environment.emplace_back(entry);
}

oci::Process compose_process(const Wish& wish, const oci::ImageConfig& image,
                             const Circumstances& circumstances) {
  oci::Process process;
  process.terminal = wish.terminal;
  process.user = circumstances.user;
  process.cwd =
      wish.workdir.value_or(image.config.working_dir.empty() ? "/" : image.config.working_dir);
  // Neither inheritable nor ambient: no program of the image gets a capability by execve(2) alone.
  process.capabilities = oci::CapabilitySets{.bounding = wish.capabilities,
                                             .effective = wish.capabilities,
                                             .permitted = wish.capabilities};
  process.no_new_privileges = wish.security.no_new_privileges;
  if (wish.security.apparmor)
    process.apparmor_profile = *wish.security.apparmor;
  else if (circumstances.apparmor)
    process.apparmor_profile = kDefaultAppArmorProfile;
  process.selinux_label = wish.security.selinux_label;
  process.rlimits = wish.limits.rlimits;
  process.oom_score_adj = wish.limits.oom_score_adj;
  for (const std::uint32_t gid : circumstances.cdi.additional_gids)
    process.user.additional_gids.emplace_back(gid);
  return process;
}

// With a user namespace the nodes come as mounts (compose_mounts); on the host's ids they are made.
void compose_devices(const Wish& wish, const Circumstances& circumstances, oci::Linux& config) {
  if (!wish.sharing.user.host()) return;
  for (const DeviceNode& node : circumstances.devices)
    config.devices.push_back({.type = node.type,
                              .path = node.path,
                              .major = node.major,
                              .minor = node.minor,
                              .file_mode = node.mode,
                              .uid = ContainerUid(node.uid),
                              .gid = ContainerGid(node.gid)});
}

void compose_hooks(const CdiEdits& cdi, oci::Spec& spec) {
  if (cdi.hooks.empty()) return;
  oci::Hooks& hooks = spec.hooks.emplace();
  for (const CdiHook& hook : cdi.hooks) {
    auto& stage = hook.hook_name == "prestart"          ? hooks.prestart
                  : hook.hook_name == "createRuntime"   ? hooks.create_runtime
                  : hook.hook_name == "createContainer" ? hooks.create_container
                  : hook.hook_name == "startContainer"  ? hooks.start_container
                  : hook.hook_name == "poststart"       ? hooks.poststart
                                                        : hooks.poststop;
    stage.push_back({hook.path, hook.args, hook.env, hook.timeout});
  }
}

// As a JSON object, with the names in order.
std::string in_json(const Labels& labels) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  for (const auto& [name, value] : labels) writer.member(name, value);
  writer.end_object();
  return text;
}

void compose_annotations(const Wish& wish, const oci::ImageConfig& image,
                         const Circumstances& circumstances, Composed& composed) {
  oci::Annotations& annotations = composed.spec.annotations;
  const Metadata& metadata = wish.metadata;
  annotations.insert(metadata.annotations.begin(), metadata.annotations.end());
  const auto put = [&](std::string_view name, std::string value) {
    annotations[std::string(name)] = std::move(value);
  };
  if (!circumstances.landlock.empty())
    put(isolation::Landlock::kAnnotation, circumstances.landlock);
  else if (wish.untrusted)
    put(isolation::Landlock::kAnnotation, preset_landlock(wish));
  put("org.bulkhead.image", circumstances.image);
  put("org.bulkhead.name", circumstances.name);
  put("org.bulkhead.storage", circumstances.storage);
  if (!circumstances.size_limit.empty()) put("org.bulkhead.size-limit", circumstances.size_limit);
  composed.labels = metadata.labels;
  composed.labels.insert(image.config.labels.begin(), image.config.labels.end());
  if (!composed.labels.empty()) put(kLabelsAnnotation, in_json(composed.labels));
  if (!metadata.tenant.empty()) put(kTenantAnnotation, metadata.tenant);
  if (wish.sharing.ipc_shareable) put(kIpcAnnotation, "shareable");
  if (const std::int64_t begin = wish.sharing.clocks_begin.value_or(0); begin != 0)
    put(kClocksAnnotation, std::to_string(begin));
  if (metadata.stop_signal)
    put(kStopSignalAnnotation, std::to_string(*metadata.stop_signal));
  else if (!image.config.stop_signal.empty())
    put(kStopSignalAnnotation, image.config.stop_signal);
  if (metadata.stop_timeout_seconds)
    put(kStopTimeoutAnnotation, std::to_string(*metadata.stop_timeout_seconds));
  std::string ports;
  for (const std::string& port : metadata.exposed_ports)
    ports.append(ports.empty() ? "" : ",").append(port);
  if (!ports.empty()) put(kPortsAnnotation, std::move(ports));
}

void compose_namespaces(const Wish& wish, const Circumstances& circumstances, oci::Linux& config) {
  using oci::NamespaceType;
  const Sharing& sharing = wish.sharing;
  const JoinedNamespaces joined = circumstances.joined.value_or(JoinedNamespaces{});
  const auto add = [&](NamespaceType type, const NamespaceChoice& choice, const std::string& path) {
    if (choice.host()) return;
    config.namespaces.push_back({type, choice.own() ? "" : path});
  };
  if (circumstances.joined && !joined.user.empty())
    config.namespaces.push_back({NamespaceType::kUser, joined.user});
  else
    add(NamespaceType::kUser, sharing.user, "");
  add(NamespaceType::kPid, sharing.pid, joined.pid);
  add(NamespaceType::kMount, {}, "");
  add(NamespaceType::kIpc, sharing.ipc, joined.ipc);
  add(NamespaceType::kUts, sharing.uts, "");
  add(NamespaceType::kCgroup, sharing.cgroup, "");
  if (wish.network == NetworkMode::kNone)
    config.namespaces.push_back({NamespaceType::kNetwork, {}});
  if (circumstances.time_namespace && sharing.clocks_begin) {
    config.namespaces.push_back({NamespaceType::kTime, {}});
    // The container's clocks begin now: uptime says nothing about the host.
    const std::int64_t begin = *sharing.clocks_begin;
    config.time_offsets["monotonic"] = {begin - circumstances.monotonic_seconds, 0};
    config.time_offsets["boottime"] = {begin - circumstances.boottime_seconds, 0};
  }
  if (sharing.user.host()) return;
  config.uid_mappings = {{0, circumstances.first_uid.value(), kContainerIds}};
  config.gid_mappings = {{0, circumstances.first_gid.value(), kContainerIds}};
}

oci::MemoryLimits memory_limits(const Wish& wish, const Circumstances& circumstances) {
  oci::MemoryLimits memory;
  memory.limit = memory_limit(wish, circumstances);
  if (wish.memory_swap)
    memory.swap = *wish.memory_swap;
  else if (circumstances.host_has_swap && *memory.limit > 0)
    memory.swap = *memory.limit;  // none of the host's swap beside it
  memory.reservation = wish.limits.memory_reservation;
  memory.swappiness = wish.limits.memory_swappiness;
  if (wish.limits.oom_kill_disable) memory.disable_oom_killer = true;
  return memory;
}

}  // namespace

std::optional<oci::CpuLimits> cpu_limits(const Wish& wish) {
  const Limits& limits = wish.limits;
  oci::CpuLimits cpu;
  if (wish.cpu_thousandths) {
    cpu.period = kPeriod;
    cpu.quota = *wish.cpu_thousandths == 0
                    ? -1
                    : *wish.cpu_thousandths * static_cast<std::int64_t>(kPeriod) / 1000;
  }
  if (limits.cpu_period) cpu.period = limits.cpu_period;
  if (limits.cpu_quota) cpu.quota = limits.cpu_quota;
  cpu.shares = limits.cpu_shares;
  cpu.realtime_period = limits.cpu_realtime_period;
  cpu.realtime_runtime = limits.cpu_realtime_runtime;
  if (!limits.cpus.empty()) cpu.cpus = limits.cpus;
  if (!limits.nodes.empty()) cpu.mems = limits.nodes;
  const bool any = cpu.period || cpu.quota || cpu.shares || cpu.realtime_period ||
                   cpu.realtime_runtime || cpu.cpus || cpu.mems;
  return any ? std::optional(cpu) : std::nullopt;
}

namespace {

std::optional<oci::BlockIoLimits> block_limits(const Limits& limits) {
  oci::BlockIoLimits block;
  block.weight = limits.block_weight;
  for (const BlockLimit& limit : limits.block_weight_device)
    block.weight_device.push_back({.major = limit.major,
                                   .minor = limit.minor,
                                   .weight = static_cast<std::uint16_t>(limit.value),
                                   .leaf_weight = {}});
  for (const auto& [from, to] : {std::pair(&limits.read_bps, &block.throttle_read_bps_device),
                                 {&limits.write_bps, &block.throttle_write_bps_device},
                                 {&limits.read_iops, &block.throttle_read_iops_device},
                                 {&limits.write_iops, &block.throttle_write_iops_device}})
    for (const BlockLimit& limit : *from) to->push_back({limit.major, limit.minor, limit.value});
  const bool any = block.weight || !block.weight_device.empty() || !limits.read_bps.empty() ||
                   !limits.write_bps.empty() || !limits.read_iops.empty() ||
                   !limits.write_iops.empty();
  return any ? std::optional(block) : std::nullopt;
}

std::vector<oci::DeviceRule> device_rules(const Wish& wish, const Circumstances& circumstances) {
  if (wish.devices.all) return {{.allow = true, .access = "rwm"}};
  std::vector<oci::DeviceRule> rules = {{.allow = false, .access = "rwm"}};
  for (const DeviceNode& node : circumstances.devices)
    rules.push_back({.allow = true,
                     .type = node.type,
                     .major = node.major,
                     .minor = node.minor,
                     .access = node.access});
  rules.insert(rules.end(), wish.devices.rules.begin(), wish.devices.rules.end());
  return rules;
}

oci::Resources compose_resources(const Wish& wish, const Circumstances& circumstances) {
  oci::Resources resources;
  resources.devices = device_rules(wish, circumstances);
  oci::MemoryLimits memory = memory_limits(wish, circumstances);
  if (*memory.limit < 0) memory.limit.reset();
  if (memory.limit || memory.reservation || memory.swappiness || memory.disable_oom_killer)
    resources.memory = memory;
  resources.cpu = cpu_limits(wish);
  resources.block_io = block_limits(wish.limits);
  if (const std::int64_t pids = wish.pids_limit.value_or(kDefaultPids); pids > 0)
    resources.pids_limit = pids;
  return resources;
}

void compose_seccomp(const Wish& wish, const Circumstances& circumstances, oci::Linux& config) {
  if (wish.security.seccomp_unconfined) return;
  config.seccomp = circumstances.seccomp ? *circumstances.seccomp
                                         : isolation::seccomp::default_profile(wish.capabilities);
}

}  // namespace

std::int64_t memory_limit(const Wish& wish, const Circumstances& circumstances) {
  return wish.memory.value_or(static_cast<std::int64_t>(circumstances.host_memory / 4 * 3));
}

Result<std::vector<std::string>> compose_arguments(const Wish& wish,
                                                   const oci::ImageConfig& image) {
  std::vector<std::string> arguments;
  // A program of the user's own makes the image's arguments meaningless.
  const bool own_program = wish.entrypoint.has_value();
  if (own_program) {
    if (!wish.entrypoint->empty()) arguments.push_back(*wish.entrypoint);
  } else {
    arguments = image.config.entrypoint;
  }
  const auto& command = wish.command.empty() && !own_program ? image.config.cmd : wish.command;
  arguments.insert(arguments.end(), command.begin(), command.end());
  if (arguments.empty())
    return fail(ErrorKind::kUsage, "no command: the image names none",
                "say what to run: bulkhead run IMAGE COMMAND");
  return arguments;
}

std::vector<std::string> compose_environment(const Wish& wish, const oci::ImageConfig& image,
                                             const std::string& hostname) {
  std::vector<std::string> environment;
  environment.emplace_back(kDefaultPath);
  environment.push_back("HOSTNAME=" + hostname);
  if (wish.terminal) environment.emplace_back("TERM=xterm");
  for (const std::string& entry : image.config.env)
    if (entry.find('=') != std::string::npos && !entry.starts_with('='))
      set_variable(environment, entry);
  for (const std::string& entry : wish.env) set_variable(environment, entry);
  return environment;
}

Result<Composed> compose(const Wish& wish, const oci::ImageConfig& image,
                         const Circumstances& circumstances) {
  Composed composed;
  oci::Spec& spec = composed.spec;
  spec.oci_version = oci::kSpecVersion;
  // The root file system comes as a mount; the path is only a name for it.
  spec.root = oci::Root{.path = "rootfs", .readonly = wish.read_only};
  const std::string hostname = wish.sharing.uts.host()
                                   ? circumstances.host_name
                                   : wish.hostname.value_or(circumstances.id.substr(0, 12));
  if (!wish.sharing.uts.host()) {
    spec.hostname = hostname;
    spec.domainname = wish.domainname;
  }
  spec.process = compose_process(wish, image, circumstances);
  TRY_ASSIGN(spec.process->args, compose_arguments(wish, image));
  if (wish.init) spec.process->args.insert(spec.process->args.begin(), std::string(kInitPath));
  spec.process->env = compose_environment(wish, image, hostname);
  for (const std::string& entry : circumstances.cdi.env) set_variable(spec.process->env, entry);
  if (!spec.process->cwd.starts_with('/'))
    return fail(ErrorKind::kInvalid,
                "the image's working directory " + quoted(spec.process->cwd) + " is not absolute",
                "give one with --workdir");
  compose_namespaces(wish, circumstances, spec.linux_);
  spec.mounts = compose_mounts(wish, circumstances);
  compose_devices(wish, circumstances, spec.linux_);
  compose_hooks(circumstances.cdi, spec);
  spec.linux_.sysctl = wish.sysctls;
  spec.linux_.resources = compose_resources(wish, circumstances);
  const std::string& parent = wish.sharing.cgroup_parent;
  spec.linux_.cgroups_path = (parent.empty() ? "/bulkhead" : parent) + "/" + circumstances.id;
  compose_seccomp(wish, circumstances, spec.linux_);
  if (!wish.security.system_paths_open) {
    for (const auto& path : isolation::kDefaultMaskedPaths)
      spec.linux_.masked_paths.emplace_back(path.path);
    for (const auto& path : isolation::kDefaultReadonlyPaths)
      spec.linux_.readonly_paths.emplace_back(path.path);
  }
  compose_annotations(wish, image, circumstances, composed);
  composed.defaults.cgroup_limits =
      !wish.memory && !wish.pids_limit && !wish.cpu_thousandths && !wish.limits.any_of_cgroups();
  composed.defaults.lsm_profile = !wish.security.apparmor && !wish.security.selinux_label;
  composed.defaults.landlock = !wish.security.landlock && !wish.untrusted;
  composed.opened = opened_by(wish, circumstances);
  return composed;
}

}  // namespace bulkhead::engine
