#include "volumes/export_tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/text.h"
#include "sys/directory.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "volumes/tar_entry.h"

namespace bulkhead::volumes {
namespace {

constexpr int kDeepest = 256;  // a descriptor for each level
constexpr std::size_t kPiece = std::size_t{256} << 10;
constexpr std::size_t kMostAttributes = std::size_t{64} << 10;
constexpr std::uint64_t kStraight =
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

// What has gone or changed its type since it was listed.
bool is_gone(int error) {
  return error == ENOENT || error == ELOOP || error == ENOTDIR || error == ENXIO;
}

class Export {
 public:
  explicit Export(int output) : output_(output), buffer_(kPiece) {}

  Result<void> directory(int fd, const std::string& path, int depth) {
    if (depth > kDeepest)
      return fail(ErrorKind::kUnsupported, quoted(path) + " is nested more than " +
                                               std::to_string(kDeepest) + " directories deep");
    struct stat status{};
    if (::fstat(fd, &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
    TarEntry entry = entry_of(status, path + "/", '5');
    TRY(read_attributes(fd, entry));
    TRY(write(tar_header(entry)));
    TRY_ASSIGN(std::vector<std::string> names, list_directory(fd, "."));
    std::ranges::sort(names);
    for (const std::string& name : names) {
      auto done = item(fd, name, path + "/" + name, depth);
      if (!done) return done;
    }
    return {};
  }

  Result<void> finish() { return write(std::string(2 * kTarBlock, '\0')); }

 private:
  static TarEntry entry_of(const struct stat& status, std::string name, char type) {
    TarEntry entry;
    entry.name = std::move(name);
    entry.type = type;
    entry.mode = status.st_mode & 07777;
    entry.uid = status.st_uid;
    entry.gid = status.st_gid;
    entry.modified = status.st_mtim.tv_sec;
    entry.modified_nanoseconds = static_cast<std::uint32_t>(status.st_mtim.tv_nsec);
    return entry;
  }

  Result<void> write(std::string_view bytes) {
    TRY(write_all(output_, bytes.data(), bytes.size()));
    return {};
  }

  static Result<void> read_attributes(int fd, TarEntry& entry) {
    std::string names(kMostAttributes, '\0');
    const ssize_t size = ::flistxattr(fd, names.data(), names.size());
    if (size < 0 && errno == EOPNOTSUPP) return {};
    if (size < 0) return std::unexpected(Error(SysError{"flistxattr", errno}));
    names.resize(static_cast<std::size_t>(size));
    std::string value(kMostAttributes, '\0');
    for (std::string_view rest = names; !rest.empty();) {
      const std::string name(next_field(rest, '\0'));
      if (!name.starts_with("user.")) continue;
      const ssize_t length = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
      if (length >= 0)
        entry.attributes.emplace_back(name, value.substr(0, static_cast<std::size_t>(length)));
    }
    return {};
  }

  Result<void> item(int parent, const std::string& name, const std::string& path, int depth) {
    struct stat status{};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (is_gone(errno)) return {};
      return std::unexpected(Error(SysError{"stat", errno}).within(quoted(path)));
    }
    switch (status.st_mode & S_IFMT) {
      case S_IFDIR: return inner(parent, name, path, depth);
      case S_IFREG: return file(parent, name, path);
      case S_IFLNK: return symbolic_link(parent, name, path, status);
      case S_IFSOCK: return {};
      default: break;
    }
    TarEntry entry = entry_of(status, path,
                              S_ISFIFO(status.st_mode)  ? '6'
                              : S_ISCHR(status.st_mode) ? '3'
                                                        : '4');
    if (!S_ISFIFO(status.st_mode)) {
      entry.device_major = major(status.st_rdev);
      entry.device_minor = minor(status.st_rdev);
    }
    return write(tar_header(entry));
  }

  Result<void> inner(int parent, const std::string& name, const std::string& path, int depth) {
    const auto fd = open_at2(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, kStraight);
    if (!fd && is_gone(fd.error().error)) return {};
    if (!fd) return std::unexpected(Error(fd.error()).within(quoted(path)));
    return directory(fd->get(), path, depth + 1);
  }

  Result<void> symbolic_link(int parent, const std::string& name, const std::string& path,
                             const struct stat& status) {
    TarEntry entry = entry_of(status, path, '2');
    char text[4096];
    const ssize_t size = ::readlinkat(parent, name.c_str(), text, sizeof text);
    if (size < 0) return {};  // it is something else by now
    entry.link.assign(text, static_cast<std::size_t>(size));
    return write(tar_header(entry));
  }

  Result<void> file(int parent, const std::string& name, const std::string& path) {
    const auto fd = open_at2(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, kStraight);
    if (!fd && is_gone(fd.error().error)) return {};
    if (!fd) return std::unexpected(Error(fd.error()).within(quoted(path)));
    struct stat status{};
    if (::fstat(fd->get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
    TarEntry entry = entry_of(status, path, '0');
    if (status.st_nlink > 1) {
      const auto [known, is_new] = links_.try_emplace({status.st_dev, status.st_ino}, path);
      if (!is_new) {
        entry.type = '1';
        entry.link = known->second;
        return write(tar_header(entry));
      }
    }
    entry.size = static_cast<std::uint64_t>(status.st_size);
    TRY(read_attributes(fd->get(), entry));
    TRY(write(tar_header(entry)));
    return content(fd->get(), path, entry.size);
  }

  // Exactly as many bytes as the header says: zeros for what has been cut off meanwhile.
  Result<void> content(int fd, const std::string& path, std::uint64_t size) {
    std::uint64_t left = size;
    while (left > 0) {
      const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size()));
      TRY_ASSIGN(const std::size_t count, read_piece(fd, piece, path));
      std::fill(buffer_.begin() + static_cast<std::ptrdiff_t>(count),
                buffer_.begin() + static_cast<std::ptrdiff_t>(piece), '\0');
      TRY(write({buffer_.data(), piece}));
      left -= piece;
    }
    return write(std::string((kTarBlock - size % kTarBlock) % kTarBlock, '\0'));
  }

  Result<std::size_t> read_piece(int fd, std::size_t size, const std::string& path) {
    auto count = read_up_to(fd, buffer_.data(), size);
    if (!count) return std::unexpected(Error(count.error()).within(quoted(path)));
    return *count;
  }

  int output_;
  std::vector<char> buffer_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

Result<void> export_tree(int directory, int output) {
  Export tree(output);
  TRY(tree.directory(directory, ".", 0));
  return tree.finish();
}

}  // namespace bulkhead::volumes
