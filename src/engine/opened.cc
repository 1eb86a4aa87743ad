#include "base/text.h"
#include "engine/compose.h"
#include "isolation/capabilities/default_set.h"

namespace bulkhead::engine {
namespace {

void opened_by_sharing(const Sharing& sharing, const Circumstances& circumstances,
                       std::vector<std::string>& opened) {
  if (sharing.user.host())
    opened.emplace_back(
        "ids: the container's root is root on the host, held by its capabilities and the other "
        "layers alone (--userns host)");
  if (sharing.pid.host())
    opened.emplace_back(
        "processes: those of the host are seen, and may be signalled by id (--pid host)");
  if (sharing.ipc.host())
    opened.emplace_back("shared memory, semaphores and message queues of the host (--ipc host)");
  if (sharing.ipc_shareable)
    opened.emplace_back("shared memory: other containers may join it (--ipc shareable)");
  if (sharing.uts.host())
    opened.emplace_back("names: the host's own host name is seen (--uts host)");
  if (sharing.cgroup.host())
    opened.emplace_back(
        "cgroups: where on the host the container's group lies is seen (--cgroupns host)");
  if (!sharing.clocks_begin)
    opened.emplace_back("clocks: how long the host has been up is seen (--time-offset host)");
  if (!circumstances.joined) return;
  const std::string name = quoted(circumstances.joined->name);
  std::string what = "the ids";
  if (!sharing.pid.own()) what += ", the processes";
  if (!sharing.ipc.own()) what += ", the shared memory";
  opened.push_back("the container " + name + ": " + what + " are its own; each can end the other");
}

void opened_by_devices(const Wish& wish, const Circumstances& circumstances,
                       std::vector<std::string>& opened) {
  if (wish.devices.all && wish.sharing.user.host())
    opened.emplace_back("devices: every disk, memory and piece of hardware of the host");
  else if (wish.devices.all)
    opened.emplace_back("devices: the control group allows all; none has a node but those named");
  for (const DeviceNode& node : circumstances.devices) {
    if (wish.devices.all && node.path == node.host) continue;
    opened.push_back("the device " + quoted(node.host) + " (" + node.access + "), and its driver");
  }
  for (const oci::DeviceRule& rule : wish.devices.rules)
    opened.push_back("devices of type " + rule.type + ", whose nodes are made or handed in (" +
                     rule.access + ")");
  for (const std::string& name : wish.devices.cdi)
    opened.push_back("the CDI device " + quoted(name) +
                     ", and what its vendor's file mounts and runs");
  if (wish.limits.oom_kill_disable)
    opened.emplace_back("memory: at its limit the container stands still instead of being killed");
  if (wish.limits.oom_score_adj.value_or(0) < 0)
    opened.emplace_back("memory: when the host runs out of it, others are killed first");
}

}  // namespace

// What is no longer isolated because a flag says so.
std::vector<std::string> opened_by(const Wish& wish, const Circumstances& circumstances) {
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
  for (const Volume& volume : wish.volumes) {
    // What no other container was given opens nothing.
    if (volume.kept_here && volume.anonymous && wish.volumes_from.empty()) continue;
    const std::string access = volume.read_only ? "to be read" : "to be read and written";
    if (volume.kept_here)
      opened.push_back("the volume " + quoted(volume.name) + " and every container that has it, " +
                       access);
    else
      opened.push_back("the host's " + quoted(volume.source) + ", " + access +
                       (volume.is_volume ? " (the volume " + quoted(volume.name) + ")" : ""));
  }
  opened_by_sharing(wish.sharing, circumstances, opened);
  opened_by_devices(wish, circumstances, opened);
  return opened;
}

}  // namespace bulkhead::engine
