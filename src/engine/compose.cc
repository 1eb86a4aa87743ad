#include "engine/compose.h"

#include <algorithm>

#include "base/text.h"
#include "engine/compose_mounts.h"
#include "engine/container_user.h"
#include "isolation/capabilities/default_set.h"
#include "isolation/landlock/landlock.h"
#include "isolation/masked_paths/default_paths.h"
#include "isolation/seccomp/default_profile.h"
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
  return process;
}

void compose_namespaces(const Wish& wish, const Circumstances& circumstances, oci::Linux& config) {
  using oci::NamespaceType;
  for (const NamespaceType type :
       {NamespaceType::kUser, NamespaceType::kPid, NamespaceType::kMount, NamespaceType::kIpc,
        NamespaceType::kUts, NamespaceType::kCgroup})
    config.namespaces.push_back({type, {}});
  if (wish.network == NetworkMode::kNone)
    config.namespaces.push_back({NamespaceType::kNetwork, {}});
  if (circumstances.time_namespace) {
    config.namespaces.push_back({NamespaceType::kTime, {}});
    // The container's clocks begin about now: uptime says nothing about the host.
    config.time_offsets["monotonic"] = {-circumstances.monotonic_seconds, 0};
    config.time_offsets["boottime"] = {-circumstances.boottime_seconds, 0};
  }
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
  return memory;
}

oci::Resources compose_resources(const Wish& wish, const Circumstances& circumstances) {
  oci::Resources resources;
  resources.devices = {{.allow = false, .access = "rwm"}};
  if (const oci::MemoryLimits memory = memory_limits(wish, circumstances); *memory.limit > 0)
    resources.memory = memory;
  if (wish.cpu_thousandths) {
    oci::CpuLimits cpu;
    cpu.period = kPeriod;
    cpu.quota = *wish.cpu_thousandths * static_cast<std::int64_t>(kPeriod) / 1000;
    resources.cpu = cpu;
  }
  if (const std::int64_t pids = wish.pids_limit.value_or(kDefaultPids); pids > 0)
    resources.pids_limit = pids;
  return resources;
}

void compose_seccomp(const Wish& wish, const Circumstances& circumstances, oci::Linux& config) {
  if (wish.security.seccomp_unconfined) return;
  config.seccomp = circumstances.seccomp ? *circumstances.seccomp
                                         : isolation::seccomp::default_profile(wish.capabilities);
}

// What is no longer isolated because a flag says so.
std::vector<std::string> opened_by(const Wish& wish) {
  std::vector<std::string> opened;
  const SecurityChoices& security = wish.security;
  if (wish.network == NetworkMode::kHost)
    opened.emplace_back(
        "the network: --network host shows all interfaces, ports and abstract sockets of the host");
  if (security.seccomp_unconfined)
    opened.emplace_back(
        "system calls: seccomp=unconfined leaves the whole kernel interface reachable");
  else if (!security.seccomp_profile.empty())
    opened.emplace_back("system calls: whatever the profile " + quoted(security.seccomp_profile) +
                        " allows");
  if (!security.no_new_privileges)
    opened.emplace_back(
        "privileges: setuid programs of the image work, within the container's capabilities");
  if (security.system_paths_open)
    opened.emplace_back(
        "/proc and /sys: systempaths=unconfined leaves their paths unmasked and writable");
  if (security.apparmor == "unconfined") opened.emplace_back("AppArmor: no profile");
  if (security.selinux_disabled) opened.emplace_back("SELinux: no label of the container's own");
  const std::uint64_t beyond = [&] {
    std::uint64_t set = 0;
    for (const std::string& name : wish.capabilities)
      if (const auto number = isolation::capability_number(name))
        set |= isolation::capability_bit(*number);
    return set & ~isolation::default_capability_set();
  }();
  if (beyond != 0)
    opened.emplace_back("capabilities beyond the default: " +
                        isolation::capability_set_in_words(beyond));
  if (wish.memory == -1) opened.emplace_back("memory: no limit");
  if (wish.pids_limit == -1) opened.emplace_back("processes: no limit");
  for (const Volume& volume : wish.volumes)
    opened.emplace_back("the host's " + quoted(volume.source) + ", " +
                        (volume.read_only ? "to be read" : "to be read and written"));
  return opened;
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
  spec.hostname = wish.hostname.value_or(circumstances.id.substr(0, 12));
  spec.process = compose_process(wish, image, circumstances);
  TRY_ASSIGN(spec.process->args, compose_arguments(wish, image));
  if (wish.init) spec.process->args.insert(spec.process->args.begin(), std::string(kInitPath));
  spec.process->env = compose_environment(wish, image, spec.hostname);
  if (!spec.process->cwd.starts_with('/'))
    return fail(ErrorKind::kInvalid,
                "the image's working directory " + quoted(spec.process->cwd) + " is not absolute",
                "give one with --workdir");
  compose_namespaces(wish, circumstances, spec.linux_);
  spec.mounts = compose_mounts(wish, circumstances.init);
  spec.linux_.resources = compose_resources(wish, circumstances);
  spec.linux_.cgroups_path = "/bulkhead/" + circumstances.id;
  compose_seccomp(wish, circumstances, spec.linux_);
  if (!wish.security.system_paths_open) {
    for (const auto& path : isolation::kDefaultMaskedPaths)
      spec.linux_.masked_paths.emplace_back(path.path);
    for (const auto& path : isolation::kDefaultReadonlyPaths)
      spec.linux_.readonly_paths.emplace_back(path.path);
  }
  if (!circumstances.landlock.empty())
    spec.annotations[std::string(isolation::Landlock::kAnnotation)] = circumstances.landlock;
  spec.annotations["org.bulkhead.image"] = circumstances.image;
  spec.annotations["org.bulkhead.name"] = circumstances.name;
  spec.annotations["org.bulkhead.storage"] = circumstances.storage;
  if (!circumstances.size_limit.empty())
    spec.annotations["org.bulkhead.size-limit"] = circumstances.size_limit;
  composed.defaults.cgroup_limits = !wish.memory && !wish.pids_limit && !wish.cpu_thousandths;
  composed.defaults.lsm_profile = !wish.security.apparmor && !wish.security.selinux_label;
  composed.defaults.landlock = !wish.security.landlock;
  composed.opened = opened_by(wish);
  return composed;
}

}  // namespace bulkhead::engine
