#include "storage/tree/unpack_tree.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/text.h"
#include "storage/tree/attributes.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostPath = 4095;
constexpr int kNewFile = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY;

std::unexpected<Error> failed(const char* call, std::string_view path) {
  const SysError error{call, errno};
  return std::unexpected(Error(error).within(quoted(path)));
}

// 2^32-1 is "no change" to chown(2).
Result<std::uint32_t> id_of(std::int64_t id, std::string_view path) {
  if (id < 0 || id >= 0xFFFFFFFFLL)
    return fail(ErrorKind::kInvalid, "the archive gives " + quoted(path) +
                                         " to the impossible id " + std::to_string(id));
  return static_cast<std::uint32_t>(id);
}

}  // namespace

TreeUnpacker::TreeUnpacker(int directory, const UnpackRules& rules, Progress progress)
    : directory_(directory),
      rules_(rules),
      progress_(std::move(progress)),
      resolve_(rules.links == Links::kFollow
                   ? RESOLVE_NO_MAGICLINKS
                   : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS),
      own_uid_(::geteuid()),
      own_gid_(::getegid()) {}

Result<void> TreeUnpacker::unpack(TarReader& archive) {
  TarEntry each;
  for (;;) {
    TRY_ASSIGN(const bool more, archive.next(each));
    if (!more) break;
    ++notes_.entries;
    TRY(entry(archive, each));
  }
  while (!directories_.empty()) {
    const Later later = std::move(directories_.back());
    directories_.pop_back();
    const auto opened = open_directory(later.path);
    // It has gone again, by the hand of whoever lives there.
    if (!opened) continue;
    const timespec times[2] = {later.modified, later.modified};
    if (::futimens(opened->get(), times) != 0) return failed("utimensat", later.path);
  }
  return {};
}

Result<Fd> TreeUnpacker::open_directory(const std::string& path) const {
  auto fd =
      open_at2(directory_, path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY, resolve_);
  if (!fd) return std::unexpected(Error(SysError{"open", fd.error().error}).within(quoted(path)));
  return std::move(*fd);
}

// What is missing on the way is made; where a rival puts links there, no matter where they lead, it is
// refused by `resolve_`, or stays inside this process's root.
Result<Fd> TreeUnpacker::open_parent(const EntryPath& path) {
  auto parent = open_at2(directory_, path.parent.empty() ? "." : path.parent.c_str(),
                         O_RDONLY | O_DIRECTORY, resolve_);
  if (parent) return std::move(*parent);
  if (parent.error().error != ENOENT)
    return std::unexpected(
        Error(SysError{"open", parent.error().error}).within(quoted(path.parent)));
  TRY_ASSIGN(Fd here, open_directory(""));
  std::string done;
  for (const std::string_view component : split(path.parent, '/')) {
    const std::string name(component);
    done.append(done.empty() ? "" : "/").append(name);
    if (::mkdirat(here.get(), name.c_str(), 0755) != 0 && errno != EEXIST)
      return failed("mkdir", done);
    TRY_ASSIGN(here, open_directory(done));
  }
  return here;
}

bool TreeUnpacker::keeps_privileges(const TarEntry& entry) const {
  if (rules_.owners == Owners::kArchived) return true;
  return !rules_.foreign && entry.uid == 0 && entry.gid == 0;
}

mode_t TreeUnpacker::mode_of(const TarEntry& entry) const {
  if (keeps_privileges(entry) || entry.type == TarType::kDirectory) return entry.mode & 07777U;
  return entry.mode & 01777U;
}

Result<void> TreeUnpacker::metadata(int fd, const TarEntry& entry) {
  uid_t uid = own_uid_;
  gid_t gid = own_gid_;
  if (rules_.owners == Owners::kArchived) {
    TRY_ASSIGN(uid, id_of(entry.uid, entry.path));
    TRY_ASSIGN(gid, id_of(entry.gid, entry.path));
  }
  struct stat status{};
  if (::fstat(fd, &status) != 0) return failed("fstat", entry.path);
  // A directory may hand its group on.
  if ((status.st_uid != uid || status.st_gid != gid) && ::fchown(fd, uid, gid) != 0)
    return failed("chown", entry.path);
  // After the owner, who takes the setuid bit away.
  if (::fchmod(fd, mode_of(entry)) != 0) return failed("chmod", entry.path);
  for (const auto& [name, value] : entry.attributes) {
    if (!is_attribute_copied(name)) continue;
    if (name == "security.capability" && !keeps_privileges(entry)) continue;
    // Not every file system has them.
    if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0 && errno != EOPNOTSUPP &&
        errno != EPERM)
      return failed("setxattr", entry.path);
  }
  return {};
}

Result<bool> TreeUnpacker::clear(int parent, const EntryPath& path) {
  struct stat status{};
  if (::fstatat(parent, path.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return true;
    return failed("stat", path.whole());
  }
  if (S_ISDIR(status.st_mode))
    return fail(ErrorKind::kState,
                "cannot overwrite directory " + quoted(path.whole()) + " with non-directory");
  if (::unlinkat(parent, path.name.c_str(), 0) == 0 || errno == ENOENT) return true;
  if (errno == EBUSY && S_ISREG(status.st_mode)) return false;
  return failed("unlink", path.whole());
}

Result<void> TreeUnpacker::directory(const TarEntry& entry, const EntryPath& path) {
  // The directory that all goes to keeps what it is.
  if (path.name.empty()) return {};
  TRY_ASSIGN(const Fd parent, open_parent(path));
  if (::mkdirat(parent.get(), path.name.c_str(), 0700) != 0 && errno != EEXIST)
    return failed("mkdir", path.whole());
  const auto opened = open_at(parent.get(), path.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!opened && (opened.error().error == ENOTDIR || opened.error().error == ELOOP))
    return fail(ErrorKind::kState,
                "cannot overwrite non-directory " + quoted(path.whole()) + " with directory");
  if (!opened) return std::unexpected(Error(opened.error()).within(quoted(path.whole())));
  TRY(metadata(opened->get(), entry));
  directories_.push_back({path.whole(), entry.modified});
  return {};
}

// Gaps are holes.
Result<void> TreeUnpacker::content(TarReader& archive, int fd, std::uint64_t size) {
  std::uint64_t at = 0;
  for (;;) {
    TRY_ASSIGN(const TarPiece piece, archive.content());
    if (piece.bytes.empty()) break;
    const auto offset = static_cast<off_t>(piece.offset);
    if (piece.offset != at && ::lseek(fd, offset, SEEK_SET) != offset)
      return std::unexpected(Error(SysError{"lseek", errno}));
    TRY(write_all(fd, piece.bytes.data(), piece.bytes.size()));
    at = piece.offset + piece.bytes.size();
    notes_.bytes += piece.bytes.size();
    if (progress_) progress_(notes_.bytes);
  }
  if (at != size && ::ftruncate(fd, static_cast<off_t>(size)) != 0)
    return std::unexpected(Error(SysError{"ftruncate", errno}));
  return {};
}

Result<void> TreeUnpacker::file(TarReader& archive, const TarEntry& entry, const EntryPath& path) {
  TRY_ASSIGN(const Fd parent, open_parent(path));
  TRY_ASSIGN(const bool cleared, clear(parent.get(), path));
  const auto opened = cleared ? open_at(parent.get(), path.name.c_str(), kNewFile, 0600)
                              : open_at(parent.get(), path.name.c_str(),
                                        O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NOCTTY);
  if (!opened)
    return std::unexpected(
        Error(SysError{"open", opened.error().error}).within(quoted(path.whole())));
  TRY_WITHIN(quoted(path.whole()), content(archive, opened->get(), entry.size));
  TRY(metadata(opened->get(), entry));
  const timespec times[2] = {entry.modified, entry.modified};
  if (::futimens(opened->get(), times) != 0) return failed("utimensat", path.whole());
  return {};
}

Result<void> TreeUnpacker::link(const TarEntry& entry, const EntryPath& path) {
  TRY_ASSIGN(const EntryPath existing, parse_entry_path(entry.link, kMostPath));
  if (existing.name.empty())
    return fail(ErrorKind::kInvalid, quoted(path.whole()) + " is a hard link to a directory");
  TRY_ASSIGN(const Fd from, open_parent(existing));
  struct stat status{};
  if (::fstatat(from.get(), existing.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("stat", existing.whole());
  if (S_ISDIR(status.st_mode))
    return fail(ErrorKind::kInvalid, quoted(path.whole()) + " is a hard link to a directory");
  TRY_ASSIGN(const Fd parent, open_parent(path));
  TRY_ASSIGN(const bool cleared, clear(parent.get(), path));
  if (!cleared) {
    errno = EBUSY;
    return failed("unlink", path.whole());
  }
  // The last component of neither is followed.
  if (::linkat(from.get(), existing.name.c_str(), parent.get(), path.name.c_str(), 0) != 0)
    return failed("link", path.whole());
  return {};
}

Result<void> TreeUnpacker::other(const TarEntry& entry, const EntryPath& path) {
  const char* const name = path.name.c_str();
  TRY_ASSIGN(const Fd parent, open_parent(path));
  TRY_ASSIGN(const bool cleared, clear(parent.get(), path));
  if (!cleared) {
    errno = EBUSY;
    return failed("unlink", path.whole());
  }
  if (entry.type == TarType::kSymbolicLink) {
    if (::symlinkat(entry.link.c_str(), parent.get(), name) != 0)
      return failed("symlink", path.whole());
  } else if (::mknodat(parent.get(), name, S_IFIFO | (mode_of(entry) & 0777U), 0) != 0) {
    return failed("mknod", path.whole());
  }
  uid_t uid = own_uid_;
  gid_t gid = own_gid_;
  if (rules_.owners == Owners::kArchived) {
    TRY_ASSIGN(uid, id_of(entry.uid, entry.path));
    TRY_ASSIGN(gid, id_of(entry.gid, entry.path));
  }
  if (::fchownat(parent.get(), name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("chown", path.whole());
  const timespec times[2] = {entry.modified, entry.modified};
  if (::utimensat(parent.get(), name, times, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("utimensat", path.whole());
  return {};
}

Result<void> TreeUnpacker::entry(TarReader& archive, TarEntry& entry) {
  TRY_ASSIGN(const EntryPath path, parse_entry_path(entry.path, kMostPath));
  if (entry.type == TarType::kDirectory) return directory(entry, path);
  if (path.name.empty()) return fail(ErrorKind::kInvalid, "the archive's top is no directory");
  switch (entry.type) {
    case TarType::kFile: return file(archive, entry, path);
    case TarType::kHardLink: return link(entry, path);
    case TarType::kSymbolicLink:
    case TarType::kFifo: return other(entry, path);
    case TarType::kDirectory: break;
    case TarType::kCharacterDevice:
    case TarType::kBlockDevice: ++notes_.devices; break;
  }
  return {};
}

}  // namespace bulkhead::storage
