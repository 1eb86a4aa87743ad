#include "sys/root_dir.h"

#include <sys/stat.h>
#include <sys/statfs.h>
#include <climits>
#include <cstring>

#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/uapi.h"

namespace bulkhead {

// A path in a buffer of its own, cut and lengthened in place.
struct PathBuffer {
  char text[PATH_MAX];

  SysResult<void> set(const char* path, std::size_t length) noexcept {
    if (length >= sizeof text) return sys_fail_with(ENAMETOOLONG, "open", path);
    std::memcpy(text, path, length);
    text[length] = '\0';
    return {};
  }
  // The name of `size` bytes at `at` by the target of the link that it is; an absolute target replaces
  // what stands before as well.
  SysResult<void> replace(std::size_t at, std::size_t size, const char* target,
                          std::size_t length) noexcept {
    const std::size_t before = length > 0 && target[0] == '/' ? 0 : at;
    const std::size_t rest = std::strlen(text + at + size);
    if (before + length + rest + 1 > sizeof text) return sys_fail_with(ENAMETOOLONG, "open");
    std::memmove(text + before + length, text + at + size, rest + 1);
    std::memcpy(text + before, target, length);
    return {};
  }
};

namespace {

constexpr std::uint64_t kBeneath = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

const char* without_leading_slashes(const char* path) noexcept {
  while (*path == '/') ++path;
  return *path == '\0' ? "." : path;
}

bool is_dot(const char* name, std::size_t length) noexcept { return length == 1 && name[0] == '.'; }
bool is_dot_dot(const char* name, std::size_t length) noexcept {
  return length == 2 && name[0] == '.' && name[1] == '.';
}

// The walk of a path by hand: the directories on the way, so that ".." goes back to the one that
// was really passed and never above the root, and what is left to walk.
class Walk {
 public:
  explicit Walk(int root) noexcept { directories_[0] = root; }
  ~Walk() {
    while (depth_ > 0) ::close(directories_[depth_--]);
  }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  SysResult<Fd> run(const char* path, int flags, Symlinks symlinks) noexcept;

 private:
  static constexpr int kMaximumDepth = 128;
  static constexpr int kMaximumLinks = 40;

  int here() const noexcept { return directories_[depth_]; }
  void to_root() noexcept {
    while (depth_ > 0) ::close(directories_[depth_--]);
  }
  SysResult<void> enter(Fd directory, const char* path) noexcept {
    if (depth_ + 1 == kMaximumDepth) return sys_fail_with(ENAMETOOLONG, "open", path);
    directories_[++depth_] = directory.release();
    return {};
  }
  // Puts the link's text before what is left; `slash` says whether anything, be it only a slash,
  // is.
  SysResult<void> splice(int link, std::size_t rest_at, bool slash, const char* path) noexcept;

  int directories_[kMaximumDepth];
  int depth_ = 0;
  PathBuffer left_;
};

SysResult<void> Walk::splice(int link, std::size_t rest_at, bool slash, const char* path) noexcept {
  struct statfs status{};
  if (::fstatfs(link, &status) != 0) return sys_fail("fstatfs", path);
  // A magic link looks like any other to readlink; nothing on a procfs is followed at all.
  if (status.f_type == PROC_SUPER_MAGIC) return sys_fail_with(ELOOP, "open", path);
  char target[PATH_MAX];
  const ssize_t length = ::readlinkat(link, "", target, sizeof target);
  if (length < 0) return sys_fail("readlink", path);
  const auto size = static_cast<std::size_t>(length);
  const std::size_t rest = std::strlen(left_.text + rest_at);
  if (size + 1 + rest + 1 > sizeof left_.text) return sys_fail_with(ENAMETOOLONG, "open", path);
  const std::size_t gap = slash ? 1 : 0;
  std::memmove(left_.text + size + gap, left_.text + rest_at, rest + 1);
  std::memcpy(left_.text, target, size);
  if (slash) left_.text[size] = '/';
  if (size > 0 && target[0] == '/') to_root();
  return {};
}

SysResult<Fd> Walk::run(const char* path, int flags, Symlinks symlinks) noexcept {
  TRY(left_.set(path, std::strlen(path)));
  int links = 0;
  std::size_t at = 0;
  for (;;) {
    while (left_.text[at] == '/') ++at;
    if (left_.text[at] == '\0') break;
    char* name = left_.text + at;
    const std::size_t length = std::strcspn(name, "/");
    const bool slash_follows = name[length] == '/';
    name[length] = '\0';
    const std::size_t rest_at = at + length + (slash_follows ? 1 : 0);
    at = rest_at;
    if (is_dot(name, length)) continue;
    if (is_dot_dot(name, length)) {
      if (depth_ > 0) ::close(directories_[depth_--]);
      continue;
    }
    Fd next(::openat(here(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return sys_fail("open", path);
    struct stat status{};
    if (::fstat(next.get(), &status) != 0) return sys_fail("fstat", path);
    if (S_ISLNK(status.st_mode)) {
      if (symlinks == Symlinks::kRefuse || ++links > kMaximumLinks)
        return sys_fail_with(ELOOP, "open", path);
      TRY(splice(next.get(), rest_at, slash_follows, path));
      at = 0;
      continue;
    }
    if (S_ISDIR(status.st_mode)) {
      TRY(enter(std::move(next), path));
      continue;
    }
    if (slash_follows || left_.text[rest_at] != '\0' || (flags & O_DIRECTORY) != 0)
      return sys_fail_with(ENOTDIR, "open", path);
    if ((flags & O_PATH) != 0) return next;
    // Not a link when it was looked at; O_NOFOLLOW if it has become one since.
    return open_at(here(), name, flags | O_NOFOLLOW);
  }
  return open_at(here(), ".", flags & ~O_NOFOLLOW);
}

}  // namespace

SysResult<Fd> RootDir::open(const char* path, int flags, Symlinks symlinks) const noexcept {
  const char* relative = without_leading_slashes(path);
  const std::uint64_t resolve =
      symlinks == Symlinks::kRefuse ? kBeneath | RESOLVE_NO_SYMLINKS : kBeneath;
  auto file = open_at2(fd_, relative, flags, resolve);
  if (file) return file;
  if (!is_refused_api(file.error().error))
    return sys_fail_with(file.error().error, "openat2", path);
  // EPERM may also be the answer about this very file; the walk then meets it again.
  auto walked = open_walking(relative, flags, symlinks);
  if (!walked) return sys_fail_with(walked.error().error, walked.error().call, path);
  return walked;
}

SysResult<Fd> RootDir::open_walking(const char* path, int flags, Symlinks symlinks) const noexcept {
  Walk walk(fd_);
  return walk.run(path, flags, symlinks);
}

// The deepest directory on the way to a path that does not exist as a whole, links followed inside.
// Where the way ends in a dangling link, the path is rewritten to lead where the link does, so that what
// is missing there is made inside the root.
SysResult<RootDir::Missing> RootDir::find_missing(PathBuffer& path) const noexcept {
  constexpr int kMaximumLinks = 40;
  for (int links = 0; links < kMaximumLinks; ++links) {
    std::size_t have = std::strlen(path.text);
    SysResult<Fd> directory = sys_fail_with(ENOENT, "open");
    while (!directory) {
      if (directory.error().error != ENOENT || have == 0) return std::unexpected(directory.error());
      while (have > 0 && path.text[have - 1] == '/') --have;
      while (have > 0 && path.text[have - 1] != '/') --have;
      const char kept = path.text[have];
      path.text[have] = '\0';
      directory = open(path.text, O_PATH | O_DIRECTORY);
      path.text[have] = kept;
    }
    char* name = path.text + have;
    const std::size_t size = std::strcspn(name, "/");
    const char after = name[size];
    name[size] = '\0';
    char target[PATH_MAX];
    const ssize_t length = ::readlinkat(directory->get(), name, target, sizeof target);
    name[size] = after;
    if (length < 0) return Missing{std::move(*directory), have};
    TRY(path.replace(have, size, target, static_cast<std::size_t>(length)));
  }
  return sys_fail_with(ELOOP, "open");
}

// The directories of `path` from `at` up to `end`, in which no link is followed: what appears there
// was put there by a rival.
SysResult<Fd> RootDir::make_chain(Fd directory, PathBuffer& path, std::size_t at, std::size_t end,
                                  mode_t mode) const noexcept {
  while (at < end) {
    char* name = path.text + at;
    const std::size_t size = std::strcspn(name, "/");
    const char after = name[size];
    name[size] = '\0';
    at += size + 1;
    if (size > 0 && !is_dot(name, size)) {
      if (is_dot_dot(name, size)) return sys_fail_with(EINVAL, "mkdir");
      if (::mkdirat(directory.get(), name, mode) != 0 && errno != EEXIST) return sys_fail("mkdir");
      auto next = open_at(directory.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
      if (!next) return next;
      directory = std::move(*next);
    }
    name[size] = after;
  }
  return directory;
}

SysResult<Fd> RootDir::make_directories_of(const char* path, std::size_t length,
                                           mode_t mode) const noexcept {
  PathBuffer wanted;
  TRY(wanted.set(path, length));
  auto directory = open(wanted.text, O_PATH | O_DIRECTORY);
  if (directory || directory.error().error != ENOENT) return directory;
  auto missing = find_missing(wanted);
  if (!missing) return std::unexpected(missing.error());
  return make_chain(std::move(missing->directory), wanted, missing->rest, std::strlen(wanted.text),
                    mode);
}

SysResult<Fd> RootDir::make_directories(const char* path, mode_t mode) const noexcept {
  const char* relative = without_leading_slashes(path);
  auto made = make_directories_of(relative, std::strlen(relative), mode);
  if (!made) return sys_fail_with(made.error().error, made.error().call, path);
  return made;
}

SysResult<RootDir::Parent> RootDir::make_parent(const char* path) const noexcept {
  const char* relative = without_leading_slashes(path);
  const char* slash = std::strrchr(relative, '/');
  const char* name = slash == nullptr ? relative : slash + 1;
  const std::size_t length = std::strlen(name);
  if (length == 0 || is_dot(name, length) || is_dot_dot(name, length))
    return sys_fail_with(EINVAL, "open", path);
  auto directory =
      slash == nullptr
          ? open(".", O_PATH | O_DIRECTORY)
          : make_directories_of(relative, static_cast<std::size_t>(slash - relative), 0755);
  if (!directory) return sys_fail_with(directory.error().error, directory.error().call, path);
  return Parent{std::move(*directory), name};
}

SysResult<Fd> RootDir::make_missing_file(PathBuffer& path, mode_t mode) const noexcept {
  auto missing = find_missing(path);
  if (!missing) return std::unexpected(missing.error());
  const char* slash = std::strrchr(path.text + missing->rest, '/');
  const std::size_t last =
      slash == nullptr ? missing->rest : static_cast<std::size_t>(slash + 1 - path.text);
  const char* name = path.text + last;
  const std::size_t length = std::strlen(name);
  if (length == 0 || is_dot(name, length) || is_dot_dot(name, length))
    return sys_fail_with(EINVAL, "open");
  auto directory = make_chain(std::move(missing->directory), path, missing->rest, last, 0755);
  if (!directory) return directory;
  // mknod makes a regular file without opening it, and never follows a link.
  if (::mknodat(directory->get(), name, S_IFREG | mode, 0) != 0 && errno != EEXIST)
    return sys_fail("mknod");
  auto file = open_at(directory->get(), name, O_PATH | O_NOFOLLOW);
  if (!file) return file;
  struct stat status{};
  if (::fstat(file->get(), &status) != 0) return sys_fail("fstat");
  // Put there by a rival in the meantime.
  if (S_ISLNK(status.st_mode)) return sys_fail_with(ELOOP, "open");
  return file;
}

SysResult<Fd> RootDir::make_file(const char* path, mode_t mode) const noexcept {
  auto file = open(path, O_PATH);
  if (file || file.error().error != ENOENT) return file;
  PathBuffer wanted;
  const char* relative = without_leading_slashes(path);
  TRY(wanted.set(relative, std::strlen(relative)));
  file = make_missing_file(wanted, mode);
  // Its subject pointed into the buffer.
  if (!file) return sys_fail_with(file.error().error, file.error().call, path);
  return file;
}

}  // namespace bulkhead
