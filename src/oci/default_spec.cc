#include "oci/default_spec.h"

#include <algorithm>

#include "oci/version.h"

namespace bulkhead::oci {
namespace {

Process default_process() {
  Process process;
  process.terminal = true;
  process.args = {"sh"};
  process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  process.cwd = "/";
  // Neither inheritable nor ambient: a program of the image must not get them by execve(2) alone.
  const std::vector<std::string> kept = {"CAP_KILL", "CAP_NET_BIND_SERVICE"};
  process.capabilities = CapabilitySets{.bounding = kept, .effective = kept, .permitted = kept};
  process.rlimits = {{.type = "RLIMIT_NOFILE", .hard = 1024, .soft = 1024}};
  process.no_new_privileges = true;
  return process;
}

std::vector<Mount> default_mounts() {
  const auto mount = [](const char* destination, const char* type, const char* source,
                        std::vector<std::string> options) {
    Mount out;
    out.destination = destination;
    out.type = type;
    out.source = source;
    out.options = std::move(options);
    return out;
  };
  return {
      mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      mount("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
      mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
      mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
      mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}),
  };
}

bool names_owner(const std::string& option) {
  return option.starts_with("uid=") || option.starts_with("gid=");
}

}  // namespace

std::vector<std::string> default_masked_paths() {
  return {"/proc/acpi",        "/proc/asound",  "/proc/interrupts",
          "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
          "/proc/sched_debug", "/proc/scsi",    "/proc/timer_list",
          "/proc/timer_stats", "/sys/firmware", "/sys/devices/virtual/powercap"};
}

std::vector<std::string> default_readonly_paths() {
  return {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
}

Spec default_spec() {
  Spec spec;
  spec.oci_version = kSpecVersion;
  spec.root = Root{.path = "rootfs", .readonly = true};
  spec.process = default_process();
  spec.hostname = "bulkhead";
  spec.mounts = default_mounts();
  for (const NamespaceType type :
       {NamespaceType::kPid, NamespaceType::kNetwork, NamespaceType::kIpc, NamespaceType::kUts,
        NamespaceType::kMount, NamespaceType::kCgroup}) {
    spec.linux_.namespaces.push_back({.type = type, .path = {}});
  }
  spec.linux_.resources.emplace().devices = {{.allow = false, .access = "rwm"}};
  spec.linux_.masked_paths = default_masked_paths();
  spec.linux_.readonly_paths = default_readonly_paths();
  return spec;
}

Spec default_rootless_spec(std::uint32_t uid, std::uint32_t gid) {
  Spec spec = default_spec();
  Linux& config = spec.linux_;
  config.namespaces.push_back({.type = NamespaceType::kUser, .path = {}});
  config.uid_mappings = {{.container_id = 0, .host_id = uid, .size = 1}};
  config.gid_mappings = {{.container_id = 0, .host_id = gid, .size = 1}};
  // Without a network of the user's own to attach to, the host's is of more use than none; sysfs
  // can then not be mounted anew, only bound.
  std::erase_if(config.namespaces,
                [](const Namespace& entry) { return entry.type == NamespaceType::kNetwork; });
  config.resources.reset();
  for (Mount& mount : spec.mounts) {
    std::erase_if(mount.options, names_owner);  // only one id is mapped
    if (mount.destination == "/sys") {
      mount.type = "none";
      mount.source = "/sys";
      mount.options = {"rbind", "nosuid", "noexec", "nodev", "ro"};
    }
  }
  return spec;
}

}  // namespace bulkhead::oci
