#include "storage/unpack/layer_tree.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>

#include "base/text.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

constexpr std::uint64_t kInside = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

constexpr mode_t kUsualMode = 0777;
constexpr std::size_t kMostOpen = 16;

bool is_acl(std::string_view name) {
  return name == "system.posix_acl_access" || name == "system.posix_acl_default";
}

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
  return name == "security.capability" || is_acl(name) ||
         (name.starts_with("user.") && !name.starts_with("user.overlay."));
}

LayerTree::LayerTree(int root, LayerActs& acts)
    : root_(root), acts_(acts), own_uid_(::geteuid()), own_gid_(::getegid()) {
  struct stat status{};
  // Where that cannot be known, no owner is taken for granted.
  groups_vary_ =
      ::fstat(root, &status) != 0 || status.st_gid != own_gid_ || (status.st_mode & S_ISGID) != 0;
}

Result<Fd> LayerTree::open_beneath(const std::string& path) const {
  TRY_ASSIGN(Fd fd,
             open_at2(root_, path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY, kInside));
  return fd;
}

Result<int> LayerTree::open_directory(const std::string& path) {
  if (std::exchange(open_is_stale_, false)) open_.clear();
  const auto known =
      std::ranges::find_if(open_, [&](const Open& open) { return open.path == path; });
  if (known != open_.end()) {
    std::rotate(open_.begin(), known, known + 1);
    return open_.front().directory.get();
  }
  auto fd = open_at2(root_, path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY, kInside);
  if (!fd && !path.empty() && (fd.error().error == ENOENT || fd.error().error == ENOTDIR)) {
    const std::size_t slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    const std::string parent_path =
        slash == std::string::npos ? std::string() : path.substr(0, slash);
    TRY_ASSIGN(const int parent, open_directory(parent_path));
    TRY(make_directory_at(parent, parent_path, name, 0755));
    implied_.insert(path);
    fd = open_at2(root_, path.c_str(), O_RDONLY | O_DIRECTORY, kInside);
  }
  if (!fd)
    return std::unexpected(Error(SysError{"openat2", fd.error().error}).within(quoted(path)));
  if (open_.size() == kMostOpen) open_.pop_back();
  open_.insert(open_.begin(), {path, *std::move(fd)});
  return open_.front().directory.get();
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
  // What is removed may have led to an open directory: all are resolved anew next time. Till then they
  // stay open, because one may be the `parent` of this very call.
  open_is_stale_ = true;
  if (auto removed = remove_tree_at(parent, name.c_str()); !removed)
    return std::unexpected(Error(removed.error()));
  return {};
}

Result<LayerTree::Made> LayerTree::make_directory_at(int parent, const std::string& parent_path,
                                                     const std::string& name, mode_t mode) {
  if (::mkdirat(parent, name.c_str(), mode) == 0) return Made::kNew;
  if (errno != EEXIST) return failed("mkdir", name);
  struct stat status{};
  if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("stat", name);
  if (S_ISDIR(status.st_mode)) return Made::kAlreadyThere;
  if (S_ISLNK(status.st_mode)) {
    errno = ELOOP;
    return failed("mkdir", name);
  }
  if (::unlinkat(parent, name.c_str(), 0) != 0 || ::mkdirat(parent, name.c_str(), mode) != 0)
    return failed("mkdir", name);
  // What the whiteout has hidden stays hidden.
  if (is_whiteout(status)) TRY(acts_.mark_opaque(EntryPath{parent_path, name}.whole()));
  return Made::kNew;
}

bool LayerTree::needs_owner(const Metadata& metadata) const {
  return groups_vary_ || metadata.uid != own_uid_ || metadata.gid != own_gid_;
}

Result<void> LayerTree::set_attribute(int fd, const std::string& name, const std::string& value,
                                      std::string_view path) {
  if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) return {};
  if (errno != EOPNOTSUPP)
    return std::unexpected(Error(SysError{"setxattr", errno, name.c_str()}).within(quoted(path)));
  ++skipped_attributes_;
  return {};
}

Result<void> LayerTree::set_metadata(int fd, const Metadata& metadata, std::string_view path) {
  if (needs_owner(metadata) && ::fchown(fd, metadata.uid, metadata.gid) != 0)
    return failed("chown", path);
  // After chown, which takes setuid bits and file capabilities away.
  if (::fchmod(fd, metadata.mode) != 0) return failed("chmod", path);
  for (const auto& [name, value] : metadata.attributes)
    if (!is_acl(name)) TRY(set_attribute(fd, name, value, path));
  return {};
}

Result<void> LayerTree::make_directory(const EntryPath& path, const Metadata& metadata) {
  const std::string whole = path.whole();
  implied_.erase(whole);
  Later& later = directories_[whole];
  later = {metadata.modified, {}};
  for (const auto& attribute : metadata.attributes)
    if (is_acl(attribute.first)) later.acls.push_back(attribute);
  Made made = Made::kAlreadyThere;
  Fd directory;
  if (path.name.empty()) {
    TRY_ASSIGN(directory, open_beneath(""));
  } else {
    TRY_ASSIGN(const int parent, open_directory(path.parent));
    auto done = make_directory_at(parent, path.parent, path.name, metadata.mode & kUsualMode);
    if (!done) {
      // A directory where the layer had a link before: the later entry counts.
      struct stat status{};
      if (::fstatat(parent, path.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
          !S_ISLNK(status.st_mode))
        return std::unexpected(std::move(done).error());
      TRY(clear(parent, path.name));
      done = make_directory_at(parent, path.parent, path.name, metadata.mode & kUsualMode);
      if (!done) return std::unexpected(std::move(done).error());
    }
    made = *done;
    const bool is_complete = made == Made::kNew && !needs_owner(metadata) &&
                             metadata.mode <= kUsualMode && metadata.attributes.empty();
    if (is_complete) return {};
    TRY_ASSIGN(directory, open_at(parent, path.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }
  TRY(set_metadata(directory.get(), metadata, whole));
  if (metadata.gid != own_gid_ || (metadata.mode & S_ISGID) != 0) groups_vary_ = true;
  return {};
}

Result<Fd> LayerTree::make_file(const EntryPath& path, const Metadata& metadata) {
  TRY(require_name(path));
  TRY_ASSIGN(const int parent, open_directory(path.parent));
  constexpr int kFlags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW;
  const mode_t mode = metadata.mode & kUsualMode;
  auto file = open_at(parent, path.name.c_str(), kFlags, mode);
  if (!file && file.error().error == EEXIST) {
    TRY(clear(parent, path.name));
    file = open_at(parent, path.name.c_str(), kFlags, mode);
  }
  if (!file) return std::unexpected(Error(file.error()));
  return *std::move(file);
}

Result<void> LayerTree::finish_file(int fd, const Metadata& metadata, const EntryPath& path) {
  if (needs_owner(metadata) || metadata.mode > kUsualMode || !metadata.attributes.empty())
    TRY(set_metadata(fd, metadata, path.name));
  for (const auto& [name, value] : metadata.attributes)
    if (is_acl(name)) TRY(set_attribute(fd, name, value, path.name));
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
  if (needs_owner(metadata) &&
      ::fchownat(parent, name, metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW) != 0)
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
  if (S_ISDIR(status.st_mode) || is_whiteout(status))
    return fail(ErrorKind::kInvalid, "a hard link to " + quoted(existing.whole()) +
                                         ", which is a " +
                                         (is_whiteout(status) ? "whiteout" : "directory"));
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
  // With its mode at once: chmod(2) by name would follow a link.
  if (::mkfifoat(parent, name, metadata.mode) != 0) return failed("mkfifo", path.name);
  if (::fchownat(parent, name, metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("chown", path.name);
  return set_times(parent, name, metadata.modified);
}

Result<Act> LayerTree::make_device(const EntryPath& path, const DeviceNode& node) {
  TRY(require_name(path));
  TRY_ASSIGN(const int parent, open_directory(path.parent));
  TRY(clear(parent, path.name));
  return acts_.make_device(path.whole(), node);
}

Result<void> LayerTree::make_whiteout(const std::string& parent_path, const std::string& name) {
  TRY_ASSIGN(const int parent, open_directory(parent_path));
  // Device 0:0 needs no CAP_MKNOD (Linux 5.8).
  if (::mknodat(parent, name.c_str(), S_IFCHR, makedev(0, 0)) == 0)
    return set_times(parent, name.c_str(), {});  // so that the layer is the same tree each time
  if (errno != EEXIST) return failed("mknod", name);
  struct stat status{};
  if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("stat", name);
  // The layer brings a directory of the same name: it takes the place of the one below, whole. A
  // file does so anyway.
  if (S_ISDIR(status.st_mode)) return acts_.mark_opaque(EntryPath{parent_path, name}.whole());
  return {};
}

Result<void> LayerTree::make_opaque(const std::string& path) {
  TRY(open_directory(path));
  return acts_.mark_opaque(path);
}

Result<void> LayerTree::finish() {
  for (const auto& [path, later] : directories_) {
    // A later entry may have replaced the directory by something else.
    const auto directory = open_at2(root_, path.empty() ? "." : path.c_str(),
                                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, kInside);
    if (!directory) continue;
    for (const auto& [name, value] : later.acls)
      TRY(set_attribute(directory->get(), name, value, path));
    const timespec times[2] = {later.modified, later.modified};
    if (::futimens(directory->get(), times) != 0) return failed("futimens", path);
  }
  directories_.clear();
  return finish_implied();
}

// With a time, so that the same layer is the same tree whenever it is unpacked.
Result<void> LayerTree::finish_implied() {
  for (auto each = implied_.begin(); each != implied_.end();) {
    const std::string& path = *each;
    constexpr int kFlags = O_RDONLY | O_DIRECTORY;
    const auto directory =
        open_at2(root_, path.empty() ? "." : path.c_str(), kFlags, RESOLVE_NO_SYMLINKS);
    // By way of a link it is one of another path. Or a later entry has replaced it.
    const auto elsewhere =
        directory ? SysResult<Fd>() : open_at2(root_, path.c_str(), kFlags, kInside);
    const Fd& found = directory ? *directory : *elsewhere;
    constexpr timespec kTimes[2] = {};
    if ((directory || elsewhere) && !path.empty() && ::futimens(found.get(), kTimes) != 0)
      return failed("futimens", path);
    each = directory ? std::next(each) : implied_.erase(each);
  }
  return {};
}

}  // namespace bulkhead::storage
