#include "engine/local_root.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/text.h"
#include "sys/file.h"
#include "sys/mount_api.h"

namespace bulkhead::engine {

Result<LocalRoot> LocalRoot::open(const std::string& path) {
  auto directory = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY);
  if (directory) return LocalRoot(std::move(*directory));
  if (directory.error().error == ENOENT)
    return fail(ErrorKind::kNotFound, "no such directory: " + quoted(path), "make it first");
  return std::unexpected(Error(directory.error()));
}

Result<void> LocalRoot::enter() const {
  MountAttributes attributes;
  attributes.set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  // With what is mounted in it: a file belongs where its path leads.
  TRY_ASSIGN(const Fd tree,
             clone_tree_with(directory_.get(), "", Recursion::kWholeTree, attributes));
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) != 0)
    return std::unexpected(Error(SysError{"unshare", errno}));
  if (::fchdir(tree.get()) != 0) return std::unexpected(Error(SysError{"fchdir", errno}));
  if (::chroot(".") != 0) return std::unexpected(Error(SysError{"chroot", errno}));
  if (::setgroups(0, nullptr) != 0) return std::unexpected(Error(SysError{"setgroups", errno}));
  return {};
}

Result<bool> examine_local(const CopyPath& path, bool follow) {
  struct stat status{};
  const std::string whole = path.must_be_directory ? path.path + "/" : path.path;
  if (::fstatat(AT_FDCWD, whole.c_str(), &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) {
    const SysError error{"stat", errno};
    return std::unexpected(Error(error).within(quoted(path.path)));
  }
  return S_ISDIR(status.st_mode);
}

Result<storage::TreeNotes> pack_local(const CopyPath& path, bool follow, const std::string& name,
                                      int pipe,
                                      const std::function<void(std::uint64_t)>& progress) {
  std::string parent = path.parent;
  std::string last = path.path.substr(path.path.rfind('/') + 1);
  if (follow) {
    char resolved[PATH_MAX];
    if (::realpath(path.path.c_str(), resolved) == nullptr) {
      const SysError error{"open", errno};
      return std::unexpected(Error(error).within(quoted(path.path)));
    }
    const std::string real = resolved;
    const std::size_t slash = real.rfind('/');
    parent = slash == 0 ? "/" : real.substr(0, slash);
    last = real.substr(slash + 1);
  }
  if (last.empty()) last = ".";
  TRY_ASSIGN(const Fd directory, open_at(AT_FDCWD, parent.c_str(), O_RDONLY | O_DIRECTORY));
  storage::TarStream tar(pipe);
  storage::TreePacker packer(tar, progress);
  TRY(packer.pack(directory.get(), last, name));
  TRY(tar.finish());
  return packer.notes();
}

}  // namespace bulkhead::engine
