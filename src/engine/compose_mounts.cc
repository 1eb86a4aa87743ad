#include "engine/compose_mounts.h"

#include <algorithm>

namespace bulkhead::engine {
namespace {

oci::Mount mount(const char* destination, const char* type, const char* source,
                 std::vector<std::string> options) {
  oci::Mount made;
  made.destination = destination;
  made.type = type;
  made.source = source;
  made.options = std::move(options);
  return made;
}

std::vector<oci::Mount> kernel_file_systems(const Wish& wish) {
  std::vector<oci::Mount> mounts = {
      mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      mount("/dev", "tmpfs", "tmpfs",
            {"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"}),
      mount("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
      mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
  };
  // A sysfs shows the network namespace that it is mounted in, and only that namespace's owner may
  // mount it: with the host's network it is the host's own, read-only and without what is mounted
  // beneath it.
  if (wish.network == NetworkMode::kHost)
    mounts.push_back(mount("/sys", "none", "/sys", {"bind", "nosuid", "noexec", "nodev", "ro"}));
  else
    mounts.push_back(mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}));
  mounts.push_back(
      mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}));
  return mounts;
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

std::vector<oci::Mount> compose_mounts(const Wish& wish, const std::string& init) {
  std::vector<oci::Mount> mounts = kernel_file_systems(wish);
  // On the tmpfs of /dev, so that nothing is made in the root file system, which may be read-only. Not
  // idmapped: to everybody in the container the file belongs to nobody.
  if (wish.init)
    mounts.push_back(mount(std::string(kInitPath).c_str(), "bind", init.c_str(),
                           {"bind", "ro", "nosuid", "nodev", "private"}));
  for (const TmpfsMount& tmpfs : wish.tmpfs) mounts.push_back(tmpfs_of(tmpfs));
  for (const Volume& volume : wish.volumes) mounts.push_back(bind_of(volume));
  return mounts;
}

}  // namespace bulkhead::engine
