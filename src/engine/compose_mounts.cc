#include "engine/compose_mounts.h"

#include <algorithm>

namespace bulkhead::engine {
namespace {

constexpr std::int64_t kDefaultShm = 64 << 20;

oci::Mount mount(const char* destination, const char* type, const char* source,
                 std::vector<std::string> options) {
  oci::Mount made;
  made.destination = destination;
  made.type = type;
  made.source = source;
  made.options = std::move(options);
  return made;
}

// A procfs may only be mounted by the owner of the pid namespace that it shows: with the host's it is
// the host's own.
oci::Mount proc_of(const Sharing& sharing) {
  if (sharing.pid.host() && !sharing.user.host())
    return mount("/proc", "bind", "/proc", {"rbind", "rnosuid", "rnoexec", "rnodev", "rprivate"});
  return mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"});
}

// Shared memory and message queues are seen through these two.
void add_ipc(const Wish& wish, const Circumstances& circumstances,
             std::vector<oci::Mount>& mounts) {
  const Sharing& sharing = wish.sharing;
  const bool joined = circumstances.joined && circumstances.joined->shm;
  if (sharing.ipc.host() || joined) {
    // Another container's comes as a mount that is handed over.
    mounts.push_back(
        mount("/dev/shm", "bind", "/dev/shm", {"bind", "nosuid", "noexec", "nodev", "private"}));
  } else if (sharing.shm) {
    const std::string size = "size=" + std::to_string(wish.limits.shm_size.value_or(kDefaultShm));
    mounts.push_back(
        mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", size}));
  }
  if (!sharing.ipc.host() || sharing.user.host())
    mounts.push_back(mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  else if (circumstances.host_mqueue)
    mounts.push_back(mount("/dev/mqueue", "bind", "/dev/mqueue",
                           {"bind", "nosuid", "noexec", "nodev", "private"}));
}

std::vector<oci::Mount> kernel_file_systems(const Wish& wish, const Circumstances& circumstances) {
  std::vector<oci::Mount> mounts = {
      proc_of(wish.sharing),
      mount("/dev", "tmpfs", "tmpfs",
            {"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"}),
      mount("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
  };
  add_ipc(wish, circumstances, mounts);
  const char* const access = wish.privileged ? "rw" : "ro";
  // A sysfs shows the network namespace that it is mounted in, and only that namespace's owner may
  // mount it: with the host's network it is the host's own, without what is mounted beneath it.
  if (wish.network == NetworkMode::kHost && !wish.sharing.user.host())
    mounts.push_back(mount("/sys", "none", "/sys", {"bind", "nosuid", "noexec", "nodev", access}));
  else
    mounts.push_back(mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}));
  mounts.push_back(mount("/sys/fs/cgroup", "cgroup", "cgroup",
                         {"nosuid", "noexec", "nodev", "relatime", access}));
  return mounts;
}

oci::Mount node_of(const DeviceNode& node) {
  return mount(node.path.c_str(), "bind", node.host.c_str(),
               {"bind", "nosuid", "noexec", "private"});
}

oci::Mount mount_of(const CdiMount& cdi) {
  oci::Mount made = mount(cdi.container_path.c_str(), cdi.type.empty() ? "bind" : cdi.type.c_str(),
                          cdi.host_path.c_str(), {});
  made.options = cdi.options;
  if (made.type == "bind" && std::ranges::find(made.options, "rbind") == made.options.end())
    made.options.insert(made.options.begin(), "bind");
  return made;
}

oci::Mount bind_of(const Volume& volume) {
  oci::Mount made = mount(volume.destination.c_str(), "bind", volume.source.c_str(), {});
  made.options = {volume.recursive ? "rbind" : "bind"};
  const auto both = [&](const char* one, const char* all) {
    made.options.emplace_back(volume.recursive ? all : one);
  };
  both("nosuid", "rnosuid");
  both("nodev", "rnodev");
  if (volume.read_only) both("ro", "rro");
  for (const std::string& option : volume.further_options)
    if (option != "nosuid" && option != "nodev") made.options.push_back(option);
  const auto says_propagation = [](const std::string& option) {
    return option.ends_with("private") || option.ends_with("slave");
  };
  if (std::ranges::none_of(made.options, says_propagation)) made.options.emplace_back("rprivate");
  if (volume.id_mapped) {
    // One to one: what is 1000 on the host is 1000 in the container, for these files alone. Empty
    // mappings mean the container's own map.
    made.options.emplace_back(volume.recursive ? "ridmap" : "idmap");
    made.uid_mappings.emplace();
    made.gid_mappings.emplace();
  }
  return made;
}

oci::Mount tmpfs_of(const TmpfsMount& tmpfs) {
  oci::Mount made = mount(tmpfs.destination.c_str(), "tmpfs", "tmpfs", {"nosuid", "nodev"});
  const auto says = [&](const char* word) {
    return std::ranges::find(tmpfs.options, word) != tmpfs.options.end();
  };
  if (!says("exec")) made.options.emplace_back("noexec");
  for (const std::string& option : tmpfs.options)
    if (option != "nosuid" && option != "nodev" && option != "noexec")
      made.options.push_back(option);
  return made;
}

}  // namespace

std::vector<oci::Mount> compose_mounts(const Wish& wish, const Circumstances& circumstances) {
  std::vector<oci::Mount> mounts = kernel_file_systems(wish, circumstances);
  if (!wish.sharing.user.host())
    for (const DeviceNode& node : circumstances.devices) mounts.push_back(node_of(node));
  // On the tmpfs of /dev, so that nothing is made in the root file system, which may be read-only. Not
  // idmapped: to everybody in the container the file belongs to nobody.
  if (wish.init)
    mounts.push_back(mount(std::string(kInitPath).c_str(), "bind", circumstances.init.c_str(),
                           {"bind", "ro", "nosuid", "nodev", "private"}));
  for (const TmpfsMount& tmpfs : wish.tmpfs) mounts.push_back(tmpfs_of(tmpfs));
  for (const Volume& volume : wish.volumes) mounts.push_back(bind_of(volume));
  for (const CdiMount& cdi : circumstances.cdi.mounts) mounts.push_back(mount_of(cdi));
  return mounts;
}

}  // namespace bulkhead::engine
