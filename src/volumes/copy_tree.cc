#include "volumes/copy_tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "sys/directory.h"
#include "sys/fd.h"
#include "sys/file.h"

namespace bulkhead::volumes {
namespace {

// Two descriptors for each level.
constexpr int kDeepest = 128;
constexpr std::size_t kPiece = std::size_t{8} << 20;
constexpr std::size_t kMostAttributes = std::size_t{64} << 10;
constexpr std::uint64_t kStraight =
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

std::unexpected<Error> failed(const char* call, std::string_view path) {
  const SysError error{call, errno};
  return std::unexpected(Error(error).within(quoted(path)));
}

// File capabilities and trusted.* mean something to the host's kernel alone; labels are its policy.
bool is_kept(std::string_view name) {
  return (name.starts_with("user.") && !name.starts_with("user.overlay.")) ||
         name == "system.posix_acl_access" || name == "system.posix_acl_default";
}

Result<void> copy_attributes(int source, int target) {
  std::string names(kMostAttributes, '\0');
  const ssize_t size = ::flistxattr(source, names.data(), names.size());
  if (size < 0 && errno == EOPNOTSUPP) return {};
  if (size < 0) return std::unexpected(Error(SysError{"flistxattr", errno}));
  names.resize(static_cast<std::size_t>(size));
  std::string value(kMostAttributes, '\0');
  for (std::string_view rest = names; !rest.empty();) {
    const std::string name(next_field(rest, '\0'));
    if (!is_kept(name)) continue;
    const ssize_t length = ::fgetxattr(source, name.c_str(), value.data(), value.size());
    if (length < 0) return failed("fgetxattr", name);
    if (::fsetxattr(target, name.c_str(), value.data(), static_cast<std::size_t>(length), 0) != 0 &&
        errno != EOPNOTSUPP)
      return failed("fsetxattr", name);
  }
  return {};
}

Result<void> copy_content(int source, int target, std::uint64_t size) {
  std::uint64_t at = 0;
  // Holes stay holes.
  while (at < size) {
    const off_t begin = ::lseek(source, static_cast<off_t>(at), SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;
    if (begin < 0) return std::unexpected(Error(SysError{"lseek(SEEK_DATA)", errno}));
    const off_t end = ::lseek(source, begin, SEEK_HOLE);
    if (end < 0) return std::unexpected(Error(SysError{"lseek(SEEK_HOLE)", errno}));
    if (::lseek(target, begin, SEEK_SET) < 0)
      return std::unexpected(Error(SysError{"lseek", errno}));
    off_t from = begin;
    while (from < end) {
      const auto piece = std::min<std::size_t>(static_cast<std::size_t>(end - from), kPiece);
      const ssize_t count = ::sendfile(target, source, &from, piece);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return std::unexpected(Error(SysError{"write", errno}));
      if (count == 0) break;  // it has become shorter
    }
    at = static_cast<std::uint64_t>(end);
  }
  if (::ftruncate(target, static_cast<off_t>(size)) != 0)
    return std::unexpected(Error(SysError{"ftruncate", errno}));
  return {};
}

class Copy {
 public:
  explicit Copy(int top) : top_(top) {}

  Result<void> directory(int source, int target, const std::string& path, int depth) {
    if (depth > kDeepest)
      return fail(
          ErrorKind::kUnsupported,
          quoted(path) + " is nested more than " + std::to_string(kDeepest) + " directories deep",
          "give the mount the option nocopy");
    TRY_ASSIGN(const std::vector<std::string> names, list_directory(source, "."));
    for (const std::string& name : names) {
      std::string inside = path;
      inside.append(inside.empty() ? "" : "/").append(name);
      auto done = entry(source, target, name, inside, depth);
      if (!done) return done;
    }
    return copy_metadata(source, target);
  }

  CopyReport report;

 private:
  Result<void> entry(int source, int target, const std::string& name, const std::string& path,
                     int depth) {
    struct stat status{};
    if (::fstatat(source, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      return failed("stat", path);
    ++report.entries;
    const bool is_linked = !S_ISDIR(status.st_mode) && status.st_nlink > 1;
    const std::pair<dev_t, ino_t> identity{status.st_dev, status.st_ino};
    if (is_linked)
      if (const auto known = links_.find(identity); known != links_.end()) {
        // The tree that is being made is ours alone, and these names lead over no link.
        if (::linkat(top_, known->second.c_str(), target, name.c_str(), 0) != 0)
          return failed("link", path);
        return {};
      }
    TRY(made(source, target, name, path, status, depth));
    if (is_linked) links_.emplace(identity, path);
    return {};
  }

  Result<void> made(int source, int target, const std::string& name, const std::string& path,
                    const struct stat& status, int depth) {
    switch (status.st_mode & S_IFMT) {
      case S_IFDIR: return inner(source, target, name, path, depth);
      case S_IFREG: return file(source, target, name, path);
      case S_IFLNK: return symbolic_link(source, target, name, path, status);
      case S_IFIFO: return fifo(target, name, path, status);
      default: break;
    }
    ++report.left_out;
    return {};
  }

  Result<void> inner(int source, int target, const std::string& name, const std::string& path,
                     int depth) {
    const auto from =
        open_at2(source, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, kStraight);
    if (!from) return std::unexpected(Error(from.error()).within(quoted(path)));
    if (::mkdirat(target, name.c_str(), 0700) != 0) return failed("mkdir", path);
    const auto to = open_at2(target, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, kStraight);
    if (!to) return std::unexpected(Error(to.error()).within(quoted(path)));
    return directory(from->get(), to->get(), path, depth + 1);
  }

  static Result<void> file(int source, int target, const std::string& name,
                           const std::string& path) {
    const auto from = open_at2(source, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, kStraight);
    if (!from) return std::unexpected(Error(from.error()).within(quoted(path)));
    struct stat status{};
    if (::fstat(from->get(), &status) != 0) return failed("fstat", path);
    if (!S_ISREG(status.st_mode))
      return fail(ErrorKind::kState, quoted(path) + " changes while it is copied");
    const auto to = open_at(target, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (!to) return std::unexpected(Error(to.error()).within(quoted(path)));
    TRY_WITHIN("copying " + quoted(path),
               copy_content(from->get(), to->get(), static_cast<std::uint64_t>(status.st_size)));
    return copy_metadata(from->get(), to->get());
  }

  static Result<void> set_link_metadata(int target, const std::string& name,
                                        const std::string& path, const struct stat& status) {
    const timespec times[2] = {status.st_atim, status.st_mtim};
    if (::fchownat(target, name.c_str(), status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
      return failed("chown", path);
    if (::utimensat(target, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
      return failed("utimensat", path);
    return {};
  }

  static Result<void> symbolic_link(int source, int target, const std::string& name,
                                    const std::string& path, const struct stat& status) {
    char text[4097];
    const ssize_t size = ::readlinkat(source, name.c_str(), text, sizeof text - 1);
    if (size < 0) return failed("readlink", path);
    text[size] = '\0';
    if (::symlinkat(text, target, name.c_str()) != 0) return failed("symlink", path);
    return set_link_metadata(target, name, path, status);
  }

  static Result<void> fifo(int target, const std::string& name, const std::string& path,
                           const struct stat& status) {
    if (::mknodat(target, name.c_str(), S_IFIFO | 0600, 0) != 0) return failed("mkfifo", path);
    TRY(set_link_metadata(target, name, path, status));
    if (::fchmodat(target, name.c_str(), status.st_mode & 07777, 0) != 0)
      return failed("chmod", path);
    return {};
  }

  int top_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

Result<void> copy_metadata(int source, int target) {
  struct stat status{};
  if (::fstat(source, &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
  // The owner first: a change of it takes setuid bits away.
  if (::fchown(target, status.st_uid, status.st_gid) != 0)
    return std::unexpected(Error(SysError{"fchown", errno}));
  TRY(copy_attributes(source, target));
  if (::fchmod(target, status.st_mode & 07777) != 0)
    return std::unexpected(Error(SysError{"fchmod", errno}));
  const timespec times[2] = {status.st_atim, status.st_mtim};
  if (::futimens(target, times) != 0) return std::unexpected(Error(SysError{"futimens", errno}));
  return {};
}

Result<CopyReport> copy_tree(int source, int target) {
  Copy copy(target);
  TRY(copy.directory(source, target, "", 0));
  return copy.report;
}

}  // namespace bulkhead::volumes
