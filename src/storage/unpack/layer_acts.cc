#include "storage/unpack/layer_acts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/text.h"
#include "storage/tar/entry_path.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostPath = 4095;
constexpr std::uint64_t kInside = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

std::unexpected<Error> failed(const char* call, std::string_view path) {
  const SysError error{call, errno};
  return std::unexpected(Error(error).within(quoted(path)));
}

Result<Fd> open_directory(int root, const std::string& path, int flags) {
  auto directory = open_at2(root, path.empty() ? "." : path.c_str(), flags | O_DIRECTORY, kInside);
  if (!directory)
    return std::unexpected(
        Error(SysError{"openat2", directory.error().error}).within(quoted(path)));
  return *std::move(directory);
}

}  // namespace

Result<void> DirectActs::mark_opaque(const std::string& directory) {
  TRY_ASSIGN(const EntryPath path, parse_entry_path(directory, kMostPath));
  TRY_ASSIGN(const Fd fd, open_directory(root_, path.whole(), O_RDONLY));
  // Root outside of user namespaces sets both, unless the file system has no user.* (tmpfs before
  // Linux 6.6); without that privilege the second is the one that counts.
  constexpr const char* kTrusted = "trusted.overlay.opaque";
  constexpr const char* kUser = "user.overlay.opaque";
  const bool trusted = ::fsetxattr(fd.get(), kTrusted, "y", 1, 0) == 0;
  if (!trusted && errno != EPERM) return failed(kTrusted, directory);
  const bool user = ::fsetxattr(fd.get(), kUser, "y", 1, 0) == 0;
  if (!user && !(trusted && errno == EOPNOTSUPP)) return failed(kUser, directory);
  return {};
}

Result<Act> DirectActs::make_device(const std::string& text, const DeviceNode& node) {
  TRY_ASSIGN(const EntryPath path, parse_entry_path(text, kMostPath));
  if (path.name.empty() || node.mode > 07777 || node.major >= 1 << 12 || node.minor >= 1 << 20)
    return fail(ErrorKind::kInvalid, "an impossible device node: " + quoted(text));
  // 0:0 is the overlay's whiteout, whoever made it.
  if (node.major == 0 && node.minor == 0) return Act::kLeftOut;
  TRY_ASSIGN(const Fd parent, open_directory(root_, path.parent, O_PATH));
  const char* const name = path.name.c_str();
  const mode_t type = node.is_block ? S_IFBLK : S_IFCHR;
  // The mode at once and not by chmod(2), which would follow a link that somebody puts in its place.
  if (::mknodat(parent.get(), name, type | node.mode, makedev(node.major, node.minor)) != 0) {
    if (errno == EPERM || errno == EACCES) return Act::kLeftOut;
    return failed("mknod", text);
  }
  if (::fchownat(parent.get(), name, node.uid, node.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("chown", text);
  const timespec times[2] = {node.modified, node.modified};
  if (::utimensat(parent.get(), name, times, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("utimensat", text);
  return Act::kDone;
}

}  // namespace bulkhead::storage
