#include "isolation/mounts/parent_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <csignal>

#include "base/text.h"
#include "sys/file.h"
#include "sys/mount_api.h"

namespace bulkhead::isolation {
namespace {

std::string map_text(const std::vector<oci::IdMapping>& mappings) {
  std::string text;
  for (const oci::IdMapping& mapping : mappings)
    text += std::to_string(mapping.container_id) + " " + std::to_string(mapping.host_id) + " " +
            std::to_string(mapping.size) + "\n";
  return text;
}

// A child that does nothing but be in a user namespace of its own until it is told to go.
class NamespaceHolder {
 public:
  ~NamespaceHolder() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  NamespaceHolder() = default;
  NamespaceHolder(const NamespaceHolder&) = delete;
  NamespaceHolder& operator=(const NamespaceHolder&) = delete;

  Result<void> start() {
    int ready[2];
    if (::pipe2(ready, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
    const Fd read_end(ready[0]);
    Fd write_end(ready[1]);
    pid_ = ::fork();
    if (pid_ < 0) return std::unexpected(Error(SysError{"fork", errno}));
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      const int error = ::unshare(CLONE_NEWUSER) == 0 ? 0 : errno;
      if (::write(write_end.get(), &error, sizeof error) != sizeof error) ::_exit(1);
      for (;;) ::pause();
    }
    write_end.reset();
    int error = EPIPE;
    TRY_ASSIGN(const std::size_t size, read_up_to(read_end.get(), &error, sizeof error));
    if (size != sizeof error) error = EPIPE;
    if (error != 0) return std::unexpected(Error(SysError{"unshare(CLONE_NEWUSER)", error}));
    return {};
  }
  std::string proc(std::string_view file) const {
    return "/proc/" + std::to_string(pid_) + "/" + std::string(file);
  }

 private:
  pid_t pid_ = -1;
};

// "ext4", by the device in /proc/self/mountinfo; empty when it is not found.
std::string file_system_of(int tree) {
  struct stat status{};
  if (::fstat(tree, &status) != 0) return {};
  const std::string device =
      std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
  const auto text = read_file_at(AT_FDCWD, "/proc/self/mountinfo", 16U << 20U);
  if (!text) return {};
  for (const std::string_view line : split(*text, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() < 10 || fields[2] != device) continue;
    for (std::size_t i = 6; i + 1 < fields.size(); ++i)
      if (fields[i] == "-") return std::string(fields[i + 1]);
  }
  return {};
}

Error idmap_refusal(const MountPlan& plan, const SysError& error, int tree) {
  const std::string where =
      "/mounts/" + std::to_string(plan.number) + ": idmapping " + quoted(plan.source);
  if (error.error == EINVAL) {
    std::string type = file_system_of(tree);
    if (type.empty()) type = "of this kind";
    return Error(ErrorKind::kUnsupported,
                 where + ": the file system (" + type + ") has no idmapped mounts in this kernel",
                 "bind it without idmap and give the files to the container's ids on the host "
                 "(chown), or keep them on ext4, xfs, btrfs or tmpfs");
  }
  if (error.error == EPERM)
    return Error(
        ErrorKind::kPermission, where + ": " + error.call + ": " + errno_text(error.error),
        "the source must not be idmapped already, and its file system must belong to the host's "
        "user namespace");
  return Error(error).within(where);
}

// What the engine has brought is used up by the launch, which takes a descriptor of its own.
Result<Fd> take_handed(const MountPlan& plan, const std::string& where) {
  Fd tree(::fcntl(plan.handed, F_DUPFD_CLOEXEC, 0));
  if (!tree) return std::unexpected(Error(SysError{"fcntl(F_DUPFD_CLOEXEC)", errno}).within(where));
  if (plan.tree_attributes.empty()) return tree;
  if (auto set = set_attributes(tree.get(), "", plan.recursion, plan.tree_attributes); !set)
    return std::unexpected(Error(set.error()).within(where + ": " + quoted(plan.source)));
  return tree;
}

Result<Fd> make_bind(const MountPlan& plan) {
  const std::string where = "/mounts/" + std::to_string(plan.number);
  if (plan.handed >= 0) return take_handed(plan, where);
  auto tree = clone_tree_with(AT_FDCWD, plan.source.c_str(), plan.recursion, plan.tree_attributes);
  if (!tree) return std::unexpected(Error(tree.error()).within(where));
  if (!plan.attributes.empty())
    if (auto set = set_attributes(tree->get(), "", Recursion::kThisMount, plan.attributes); !set)
      return std::unexpected(Error(set.error()).within(where + ": " + quoted(plan.source)));
  return std::move(*tree);
}

Result<void> map_ids(const MountPlan& plan, int tree, int container_namespace) {
  MountAttributes attributes;
  attributes.set = MOUNT_ATTR_IDMAP;
  Fd own;
  if (plan.idmap->uids.empty()) {
    attributes.user_namespace = container_namespace;
    if (container_namespace < 0)
      return fail(ErrorKind::kInternal, "an idmapped mount without the container's user namespace");
  } else {
    auto made = make_user_namespace(plan.idmap->uids, plan.idmap->gids);
    if (!made)
      return std::unexpected(std::move(made).error().within(
          "/mounts/" + std::to_string(plan.number) + ": the mount's own mappings"));
    own = std::move(*made);
    attributes.user_namespace = own.get();
  }
  const auto mapped = set_attributes(tree, "", plan.idmap_recursion, attributes);
  if (!mapped) return std::unexpected(idmap_refusal(plan, mapped.error(), tree));
  return {};
}

}  // namespace

Result<Fd> make_user_namespace(const std::vector<oci::IdMapping>& uids,
                               const std::vector<oci::IdMapping>& gids) {
  NamespaceHolder holder;
  TRY(holder.start());
  const std::string uid_map = holder.proc("uid_map");
  const std::string gid_map = holder.proc("gid_map");
  TRY(write_file_at(AT_FDCWD, uid_map.c_str(), map_text(uids)));
  TRY(write_file_at(AT_FDCWD, gid_map.c_str(), map_text(gids)));
  const std::string path = holder.proc("ns/user");
  TRY_ASSIGN(Fd file, open_at(AT_FDCWD, path.c_str(), O_RDONLY));
  return file;
}

Result<std::vector<Fd>> make_parent_mounts(const ParentMountsPlan& plan, int user_namespace) {
  std::vector<Fd> mounts;
  mounts.reserve(plan.mounts.size() + 1);
  if (plan.root) {
    auto root = clone_tree(AT_FDCWD, plan.root->c_str(), Recursion::kWholeTree);
    if (!root) return std::unexpected(Error(root.error()).within("/root/path"));
    mounts.push_back(std::move(*root));
  }
  for (const MountPlan& mount : plan.mounts) {
    TRY_ASSIGN(Fd tree, make_bind(mount));
    if (mount.idmap) TRY(map_ids(mount, tree.get(), user_namespace));
    mounts.push_back(std::move(tree));
  }
  return mounts;
}

}  // namespace bulkhead::isolation
