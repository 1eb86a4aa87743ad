#include "storage/tree/pack_tree.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "storage/tree/attributes.h"
#include "sys/directory.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kPiece = std::size_t{256} << 10;
constexpr std::size_t kMostAttributes = 64 << 10;
constexpr std::size_t kMostTarget = 4096;
constexpr std::size_t kMostExtents = 64 << 10;
// Below that a map costs more than it saves.
constexpr std::uint64_t kLeastHoles = 64 << 10;
// Whatever stands in a file's place by then: nobody waits for the other end of a pipe, and no terminal
// becomes ours.
constexpr int kReading = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

std::unexpected<Error> failed(const char* call, std::string_view path) {
  const SysError error{call, errno};
  return std::unexpected(Error(error).within(quoted(path)));
}

TarEntry entry_of(const struct stat& status, const std::string& path) {
  TarEntry entry;
  entry.path = path;
  entry.mode = status.st_mode & 07777U;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.modified = status.st_mtim;
  return entry;
}

Result<void> add_attributes(int fd, TarEntry& entry) {
  std::array<char, kMostAttributes> list{};
  const ssize_t size = ::flistxattr(fd, list.data(), list.size());
  if (size < 0 && errno != EOPNOTSUPP) return failed("flistxattr", entry.path);
  if (size <= 0) return {};
  std::string value(kMostAttributes, '\0');
  for (const std::string_view name :
       split({list.data(), static_cast<std::size_t>(size) - 1}, '\0')) {
    if (!is_attribute_copied(name)) continue;
    const std::string key(name);
    const ssize_t length = ::fgetxattr(fd, key.c_str(), value.data(), value.size());
    // It has just been taken away.
    if (length < 0 && errno == ENODATA) continue;
    if (length < 0) return failed("fgetxattr", entry.path);
    entry.attributes.emplace_back(key, value.substr(0, static_cast<std::size_t>(length)));
  }
  std::ranges::sort(entry.attributes);
  return {};
}

// Where the file has content; nothing where holes are not worth a map.
std::vector<TarExtent> extents_of(int fd, const struct stat& status) {
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (static_cast<std::uint64_t>(status.st_blocks) * 512 + kLeastHoles > size) return {};
  std::vector<TarExtent> extents;
  std::uint64_t content = 0;
  for (off_t at = 0; at < status.st_size;) {
    const off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    const off_t hole = data < 0 ? -1 : ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0 || extents.size() == kMostExtents) return {};
    const off_t end = std::min(hole, status.st_size);
    if (data >= end) break;
    extents.push_back({static_cast<std::uint64_t>(data), static_cast<std::uint64_t>(end - data)});
    content += extents.back().size;
    at = end;
  }
  if (content + kLeastHoles > size) return {};
  if (extents.empty()) extents.push_back({size, 0});
  return extents;
}

}  // namespace

bool is_attribute_copied(std::string_view name) {
  return name == "security.capability" ||
         (name.starts_with("user.") && !name.starts_with("user.overlay."));
}

Result<void> TreePacker::pack(int directory, const std::string& name, const std::string& as) {
  TRY(entry(directory, name, as));
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.names.empty()) {
      levels_.pop_back();
      continue;
    }
    const std::string next = std::move(level.names.back());
    level.names.pop_back();
    // Another level may be added, and this one move.
    const int here = level.directory.get();
    TRY(entry(here, next, level.path + "/" + next));
  }
  return {};
}

Result<void> TreePacker::enter(Fd directory, const std::string& path) {
  if (levels_.size() == kMostDepth)
    return fail(
        ErrorKind::kUnsupported,
        quoted(path) + ": directories are nested more than " + std::to_string(kMostDepth) + " deep",
        "copy a part of them");
  TRY_ASSIGN(std::vector<std::string> names, list_directory(directory.get(), "."));
  std::ranges::sort(names, std::greater<>());
  levels_.push_back({std::move(directory), path, std::move(names)});
  return {};
}

Result<void> TreePacker::entry(int directory, const std::string& name, const std::string& path) {
  struct stat status{};
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    // Whoever lives in the tree may remove what its directory still listed.
    if (errno == ENOENT && !levels_.empty()) return {};
    return failed("stat", path);
  }
  TarEntry entry = entry_of(status, path);
  if (S_ISSOCK(status.st_mode)) {
    ++notes_.sockets;
    return {};
  }
  ++notes_.entries;
  if (S_ISDIR(status.st_mode)) {
    entry.type = TarType::kDirectory;
    auto opened = open_at(directory, name.c_str(), kReading | O_DIRECTORY);
    if (!opened) return std::unexpected(Error(opened.error()).within(quoted(path)));
    TRY(add_attributes(opened->get(), entry));
    TRY(output_.add(entry));
    return enter(std::move(*opened), path);
  }
  if (status.st_nlink > 1) {
    const auto [first, is_new] = linked_.try_emplace({status.st_dev, status.st_ino}, path);
    if (!is_new) {
      entry.type = TarType::kHardLink;
      entry.link = first->second;
      return output_.add(entry);
    }
  }
  if (S_ISREG(status.st_mode)) return file(directory, name, std::move(entry));
  if (S_ISLNK(status.st_mode)) {
    std::array<char, kMostTarget> target{};
    const ssize_t size = ::readlinkat(directory, name.c_str(), target.data(), target.size());
    if (size < 0) return failed("readlink", path);
    entry.type = TarType::kSymbolicLink;
    entry.link.assign(target.data(), static_cast<std::size_t>(size));
    return output_.add(entry);
  }
  if (S_ISFIFO(status.st_mode)) {
    entry.type = TarType::kFifo;
    return output_.add(entry);
  }
  entry.type = S_ISBLK(status.st_mode) ? TarType::kBlockDevice : TarType::kCharacterDevice;
  entry.major = major(status.st_rdev);
  entry.minor = minor(status.st_rdev);
  return output_.add(entry);
}

Result<void> TreePacker::file(int directory, const std::string& name, TarEntry entry) {
  auto opened = open_at(directory, name.c_str(), kReading);
  if (!opened) return std::unexpected(Error(opened.error()).within(quoted(entry.path)));
  struct stat status{};
  if (::fstat(opened->get(), &status) != 0) return failed("fstat", entry.path);
  // Something else has been put in its place since.
  if (!S_ISREG(status.st_mode))
    return fail(ErrorKind::kState, quoted(entry.path) + " changed while it was looked at",
                "try again when nothing writes there");
  const std::string path = entry.path;
  entry = entry_of(status, path);
  entry.size = static_cast<std::uint64_t>(status.st_size);
  TRY(add_attributes(opened->get(), entry));
  const std::vector<TarExtent> extents = extents_of(opened->get(), status);
  TRY(output_.begin_file(entry, extents));
  if (extents.empty()) TRY(piece(opened->get(), 0, entry.size));
  for (const TarExtent& extent : extents) TRY(piece(opened->get(), extent.offset, extent.size));
  return output_.end_file();
}

// Exactly `size` bytes, as the header has promised.
Result<void> TreePacker::piece(int file, std::uint64_t offset, std::uint64_t size) {
  buffer_.resize(kPiece);
  bool at_end = false;
  while (size > 0) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(size, buffer_.size()));
    std::size_t have = want;
    if (!at_end) {
      const ssize_t count = ::pread(file, buffer_.data(), want, static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return std::unexpected(Error(SysError{"read", errno}));
      have = static_cast<std::size_t>(count);
      if (count == 0) {
        at_end = true;
        ++notes_.shortened;
        have = want;
      }
    }
    if (at_end) std::fill_n(buffer_.begin(), want, '\0');
    TRY(output_.content({buffer_.data(), have}));
    offset += have;
    size -= have;
    notes_.bytes += have;
    if (progress_) progress_(notes_.bytes);
  }
  return {};
}

}  // namespace bulkhead::storage
