#include "engine/device_nodes.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "engine/container_user.h"
#include "sys/descriptors_from_child.h"
#include "sys/file.h"
#include "sys/mount_api.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kMostNodes = 4096;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Ids of the host that a container has no user for are its root's.
std::uint32_t container_id(std::uint32_t id) { return id < kContainerIds ? id : 0; }

DeviceNode node_of(const std::string& host, const struct stat& status) {
  DeviceNode node;
  node.host = host;
  node.path = host;
  node.type = S_ISBLK(status.st_mode) ? "b" : "c";
  node.major = static_cast<std::int64_t>(major(status.st_rdev));
  node.minor = static_cast<std::int64_t>(minor(status.st_rdev));
  node.mode = status.st_mode & 07777;
  node.uid = container_id(status.st_uid);
  node.gid = container_id(status.st_gid);
  return node;
}

// What a container has of its own there, or what is no device.
bool is_passed_over(std::string_view path) {
  constexpr std::string_view kOwn[] = {"/dev/pts",  "/dev/shm",  "/dev/fd",      "/dev/mqueue",
                                       "/dev/ptmx", "/dev/tty",  "/dev/console", "/dev/null",
                                       "/dev/zero", "/dev/full", "/dev/random",  "/dev/urandom"};
  return std::ranges::find(kOwn, path) != std::end(kOwn);
}

// `at`: where the directory's devices stand in the container.
Result<void> find_beneath(const std::string& directory, const std::string& at,
                          const std::string& access, int depth, std::vector<DeviceNode>& nodes) {
  const std::unique_ptr<DIR, CloseDirectory> stream(::opendir(directory.c_str()));
  if (!stream) return std::unexpected(Error(SysError{"open", errno, directory.c_str()}));
  while (const struct dirent* entry = ::readdir(stream.get())) {
    const std::string name = static_cast<const char*>(entry->d_name);
    if (name == "." || name == ".." || name == "lost+found") continue;
    const std::string path = directory + "/" + name;
    struct stat status{};
    if (::fstatat(::dirfd(stream.get()), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // gone meanwhile
      return std::unexpected(Error(SysError{"stat", errno, path.c_str()}));
    }
    if (is_passed_over(path)) continue;
    if (S_ISDIR(status.st_mode)) {
      if (depth < 8) TRY(find_beneath(path, at + "/" + name, access, depth + 1, nodes));
      continue;
    }
    if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode)) continue;
    if (nodes.size() == kMostNodes)
      return fail(ErrorKind::kUnsupported, "more than 4096 devices in " + quoted(directory));
    DeviceNode node = node_of(path, status);
    node.path = at + "/" + name;
    node.access = access;
    nodes.push_back(std::move(node));
  }
  return {};
}

Result<struct stat> status_of(std::string_view flag, const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0)
    return std::unexpected(Error(SysError{"stat", errno, path.c_str()})
                               .within(flag)
                               .with_hint("name a device node that this host has"));
  return status;
}

Result<void> find_asked(const DeviceWish& wish, std::vector<DeviceNode>& nodes) {
  TRY_ASSIGN(const struct stat status, status_of("--device", wish.host));
  if (S_ISDIR(status.st_mode))
    return find_beneath(wish.host, wish.container, wish.access, 0, nodes);
  if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode))
    return fail(ErrorKind::kUsage, "--device " + quoted(wish.host) + ": not a device",
                "--volume and --mount show files");
  DeviceNode node = node_of(wish.host, status);
  node.path = wish.container;
  node.access = wish.access;
  nodes.push_back(std::move(node));
  return {};
}

Result<void> find_of_cdi(const CdiNode& wish, std::vector<DeviceNode>& nodes) {
  const std::string& host = wish.host_path.empty() ? wish.path : wish.host_path;
  TRY_ASSIGN(const struct stat status, status_of("the CDI device", host));
  if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode))
    return fail(ErrorKind::kInvalid, "the CDI device " + quoted(host) + ": not a device");
  DeviceNode node = node_of(host, status);
  node.path = wish.path;
  node.access = wish.permissions;
  if (wish.file_mode) node.mode = *wish.file_mode & 07777;
  if (wish.uid) node.uid = container_id(*wish.uid);
  if (wish.gid) node.gid = container_id(*wish.gid);
  nodes.push_back(std::move(node));
  return {};
}

// Covered in a mount namespace that nobody else sees, and that goes with its process.
constexpr char kScratch[] = "/dev";

SysResult<void> make_nodes(std::span<const DeviceNode> nodes, HostUid first_uid, HostGid first_gid,
                           const GiveDescriptor& give) {
  if (::unshare(CLONE_NEWNS) != 0) return sys_fail("unshare(CLONE_NEWNS)");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return sys_fail("mount(MS_PRIVATE)");
  if (::mount("none", kScratch, "tmpfs", MS_NOSUID | MS_NOEXEC,
              "size=64k,mode=0700,nr_inodes=8k") != 0)
    return sys_fail("mount(tmpfs)");
  if (::chdir(kScratch) != 0) return sys_fail("chdir", kScratch);
  TRY(set_umask(0));
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const DeviceNode& node = nodes[i];
    const std::string name = std::to_string(i);
    const mode_t type = node.type == "b" ? S_IFBLK : S_IFCHR;
    const dev_t number =
        makedev(static_cast<unsigned>(node.major), static_cast<unsigned>(node.minor));
    if (::mknod(name.c_str(), type | node.mode, number) != 0) return sys_fail("mknod");
    if (::chown(name.c_str(), first_uid.value() + node.uid, first_gid.value() + node.gid) != 0)
      return sys_fail("chown");
    TRY_ASSIGN(const Fd mount, clone_tree(AT_FDCWD, name.c_str(), Recursion::kThisMount));
    give(mount);
  }
  return {};
}

}  // namespace

Result<std::vector<DeviceNode>> find_devices(const DeviceWishes& wishes, const CdiEdits& edits) {
  std::vector<DeviceNode> nodes;
  if (wishes.all) TRY(find_beneath("/dev", "/dev", "rwm", 0, nodes));
  std::vector<DeviceNode> asked;
  for (const DeviceWish& wish : wishes.devices) TRY(find_asked(wish, asked));
  for (const CdiNode& wish : edits.device_nodes) TRY(find_of_cdi(wish, asked));
  // The last one of a path counts.
  for (DeviceNode& node : asked) {
    std::erase_if(nodes, [&](const DeviceNode& other) { return other.path == node.path; });
    nodes.push_back(std::move(node));
  }
  return nodes;
}

Result<void> find_block_devices(Limits& limits) {
  for (auto* list : {&limits.block_weight_device, &limits.read_bps, &limits.write_bps,
                     &limits.read_iops, &limits.write_iops}) {
    for (BlockLimit& limit : *list) {
      TRY_ASSIGN(const struct stat status, status_of("a limit of a disk", limit.path));
      if (!S_ISBLK(status.st_mode))
        return fail(ErrorKind::kUsage, quoted(limit.path) + ": not a block device",
                    "rates and weights are limits of whole disks, such as /dev/sda");
      limit.major = static_cast<std::int64_t>(major(status.st_rdev));
      limit.minor = static_cast<std::int64_t>(minor(status.st_rdev));
    }
  }
  return {};
}

Result<std::vector<isolation::HandedMount>> make_device_nodes(std::span<const DeviceNode> nodes,
                                                              HostUid first_uid,
                                                              HostGid first_gid) {
  std::vector<isolation::HandedMount> handed;
  if (nodes.empty()) return handed;
  auto mounts = descriptors_from_child(nodes.size(), [&](const GiveDescriptor& give) {
    return make_nodes(nodes, first_uid, first_gid, give);
  });
  if (!mounts) return std::unexpected(Error(mounts.error()).within("making device nodes"));
  for (std::size_t i = 0; i < nodes.size(); ++i)
    handed.push_back({nodes[i].path, std::move((*mounts)[i])});
  return handed;
}

Result<Fd> take_mount(int mount_namespace, int root, const char* path) {
  TRY_ASSIGN(std::vector<Fd> mounts,
             descriptors_from_child(1, [&](const GiveDescriptor& give) -> SysResult<void> {
               if (::setns(mount_namespace, CLONE_NEWNS) != 0)
                 return sys_fail("setns(CLONE_NEWNS)");
               // In its root, whatever links stand there.
               TRY_ASSIGN(const Fd place,
                          open_at2(root, path, O_PATH | O_DIRECTORY,
                                   RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
               TRY_ASSIGN(const Fd mount, clone_tree(place.get(), "", Recursion::kThisMount));
               give(mount);
               return {};
             }));
  return std::move(mounts.front());
}

}  // namespace bulkhead::engine
