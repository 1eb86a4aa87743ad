#include "storage/unpack/layer_tree.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/text.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

constexpr std::uint64_t kInside = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

bool is_whiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

std::unexpected<Error> failed(const char* call, std::string_view path) {
  const SysError error{call, errno};
  return std::unexpected(Error(error).within(quoted(path)));
}

Result<void> set_times(int directory, const char* name, const timespec& modified) {
  const timespec times[2] = {modified, modified};
  if (::utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("utimensat", name);
  return {};
}

}  // namespace

bool is_attribute_kept(std::string_view name) {
  return name == "security.capability" ||
         (name.starts_with("user.") && !name.starts_with("user.overlay."));
}

Result<Fd> LayerTree::open_beneath(const std::string& path) const {
  TRY_ASSIGN(Fd fd,
             open_at2(root_, path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY, kInside));
  return fd;
}

Result<int> LayerTree::open_directory(const std::string& path) {
  if (cache_holds_ && cached_path_ == path) return cached_.get();
  auto fd = open_at2(root_, path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY, kInside);
  if (!fd && !path.empty() && (fd.error().error == ENOENT || fd.error().error == ENOTDIR)) {
    const std::size_t slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    const std::string parent_path =
        slash == std::string::npos ? std::string() : path.substr(0, slash);
    TRY_ASSIGN(const int parent, open_directory(parent_path));
    TRY(make_directory_at(parent, parent_path, name));
    fd = open_at2(root_, path.c_str(), O_RDONLY | O_DIRECTORY, kInside);
  }
  if (!fd)
    return std::unexpected(Error(SysError{"openat2", fd.error().error}).within(quoted(path)));
  cached_ = *std::move(fd);
  cached_path_ = path;
  cache_holds_ = true;
  return cached_.get();
}

Result<void> LayerTree::require_name(const EntryPath& path) const {
  if (path.name.empty())
    return fail(ErrorKind::kInvalid, "the layer's top directory is given as something else");
  return {};
}

Result<void> LayerTree::clear(int parent, const std::string& name) {
  struct stat status{};
  if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return failed("stat", name);
  }
  // What is removed may be part of the cached path: it is resolved anew next time. The descriptor
  // itself stays open, because it may be the `parent` of this very call.
  cache_holds_ = false;
  if (auto removed = remove_tree_at(parent, name.c_str()); !removed)
    return std::unexpected(Error(removed.error()));
  return {};
}

Result<void> LayerTree::make_directory_at(int parent, const std::string& parent_path,
                                          const std::string& name) {
  if (::mkdirat(parent, name.c_str(), 0755) == 0) return {};
  if (errno != EEXIST) return failed("mkdir", name);
  struct stat status{};
  if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("stat", name);
  if (S_ISDIR(status.st_mode)) return {};
  if (S_ISLNK(status.st_mode)) {
    errno = ELOOP;
    return failed("mkdir", name);
  }
  if (::unlinkat(parent, name.c_str(), 0) != 0 || ::mkdirat(parent, name.c_str(), 0755) != 0)
    return failed("mkdir", name);
  // What the whiteout has hidden stays hidden.
  if (is_whiteout(status)) opaque_.push_back(EntryPath{parent_path, name}.whole());
  return {};
}

Result<void> LayerTree::set_metadata(int fd, const Metadata& metadata,
                                     std::string_view path) const {
  if (::fchown(fd, metadata.uid, metadata.gid) != 0) return failed("chown", path);
  // After chown, which takes setuid bits and file capabilities away.
  if (::fchmod(fd, metadata.mode) != 0) return failed("chmod", path);
  for (const auto& [name, value] : metadata.attributes)
    if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0)
      return std::unexpected(Error(SysError{"setxattr", errno, name.c_str()}).within(quoted(path)));
  return {};
}

Result<void> LayerTree::make_directory(const EntryPath& path, const Metadata& metadata) {
  if (!path.name.empty()) {
    TRY_ASSIGN(const int parent, open_directory(path.parent));
    // A directory where the layer had a link before: the later entry counts.
    struct stat status{};
    if (::fstatat(parent, path.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(status.st_mode))
      TRY(clear(parent, path.name));
    TRY(make_directory_at(parent, path.parent, path.name));
  }
  const std::string whole = path.whole();
  Fd directory;
  if (path.name.empty()) {
    TRY_ASSIGN(directory, open_beneath(""));
  } else {
    TRY_ASSIGN(const int parent, open_directory(path.parent));
    TRY_ASSIGN(directory, open_at(parent, path.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }
  TRY(set_metadata(directory.get(), metadata, whole));
  directory_times_.emplace_back(whole, metadata.modified);
  return {};
}

Result<Fd> LayerTree::make_file(const EntryPath& path) {
  TRY(require_name(path));
  TRY_ASSIGN(const int parent, open_directory(path.parent));
  constexpr int kFlags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW;
  auto file = open_at(parent, path.name.c_str(), kFlags, 0600);
  if (!file && file.error().error == EEXIST) {
    TRY(clear(parent, path.name));
    file = open_at(parent, path.name.c_str(), kFlags, 0600);
  }
  if (!file) return std::unexpected(Error(file.error()));
  return *std::move(file);
}

Result<void> LayerTree::finish_file(int fd, const Metadata& metadata, const EntryPath& path) {
  TRY(set_metadata(fd, metadata, path.name));
  const timespec times[2] = {metadata.modified, metadata.modified};
  if (::futimens(fd, times) != 0) return failed("futimens", path.name);
  return {};
}

Result<void> LayerTree::make_symbolic_link(const EntryPath& path, const std::string& target,
                                           const Metadata& metadata) {
  TRY(require_name(path));
  TRY_ASSIGN(const int parent, open_directory(path.parent));
  const char* const name = path.name.c_str();
  if (::symlinkat(target.c_str(), parent, name) != 0) {
    if (errno != EEXIST) return failed("symlink", path.name);
    TRY(clear(parent, path.name));
    if (::symlinkat(target.c_str(), parent, name) != 0) return failed("symlink", path.name);
  }
  if (::fchownat(parent, name, metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("chown", path.name);
  return set_times(parent, name, metadata.modified);
}

Result<void> LayerTree::make_hard_link(const EntryPath& path, const EntryPath& existing) {
  TRY(require_name(path));
  TRY(require_name(existing));
  TRY_ASSIGN(const Fd from, open_beneath(existing.parent));
  struct stat status{};
  if (::fstatat(from.get(), existing.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("hard link to", existing.whole());
  if (S_ISDIR(status.st_mode) || S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
    return fail(ErrorKind::kInvalid, "a hard link to " + quoted(existing.whole()) +
                                         ", which is neither a file nor a link");
  TRY_ASSIGN(const int parent, open_directory(path.parent));
  const auto link = [&] {
    // Without AT_SYMLINK_FOLLOW: a link to a symbolic link links the link itself.
    return ::linkat(from.get(), existing.name.c_str(), parent, path.name.c_str(), 0) == 0;
  };
  if (link()) return {};
  if (errno != EEXIST) return failed("link", path.name);
  struct stat target{};
  if (::fstatat(parent, path.name.c_str(), &target, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("stat", path.name);
  if (target.st_ino == status.st_ino && target.st_dev == status.st_dev)
    return {};  // linked already
  TRY(clear(parent, path.name));
  if (!link()) return failed("link", path.name);
  return {};
}

Result<void> LayerTree::make_fifo(const EntryPath& path, const Metadata& metadata) {
  TRY(require_name(path));
  TRY_ASSIGN(const int parent, open_directory(path.parent));
  const char* const name = path.name.c_str();
  TRY(clear(parent, path.name));
  if (::mkfifoat(parent, name, 0600) != 0) return failed("mkfifo", path.name);
  if (::fchownat(parent, name, metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("chown", path.name);
  // Nobody else writes here: the name still is the FIFO that was made.
  if (::fchmodat(parent, name, metadata.mode, 0) != 0) return failed("chmod", path.name);
  return set_times(parent, name, metadata.modified);
}

Result<void> LayerTree::make_whiteout(const std::string& parent_path, const std::string& name) {
  TRY_ASSIGN(const int parent, open_directory(parent_path));
  // Device 0:0 needs no CAP_MKNOD (Linux 5.8).
  if (::mknodat(parent, name.c_str(), S_IFCHR, makedev(0, 0)) == 0) return {};
  if (errno != EEXIST) return failed("mknod", name);
  struct stat status{};
  if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("stat", name);
  // The layer brings a directory of the same name: it takes the place of the one below, whole. A
  // file does so anyway.
  if (S_ISDIR(status.st_mode)) opaque_.push_back(EntryPath{parent_path, name}.whole());
  return {};
}

Result<void> LayerTree::make_opaque(const std::string& path) {
  TRY(open_directory(path));
  opaque_.push_back(path);
  return {};
}

Result<void> LayerTree::finish() {
  for (auto at = directory_times_.rbegin(); at != directory_times_.rend(); ++at) {
    // A later entry may have replaced the directory by something else.
    const auto directory = open_at2(root_, at->first.empty() ? "." : at->first.c_str(),
                                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, kInside);
    if (!directory) continue;
    const timespec times[2] = {at->second, at->second};
    if (::futimens(directory->get(), times) != 0) return failed("futimens", at->first);
  }
  directory_times_.clear();
  return {};
}

}  // namespace bulkhead::storage
