#include "engine/image_files.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;
constexpr std::uint64_t kStraight = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;

enum class Found { kFile, kNothing, kHidden };

struct Answer {
  Found found = Found::kNothing;
  std::string text;
};

bool is_opaque(int directory) {
  char value = 0;
  return ::fgetxattr(directory, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

std::unexpected<Error> refuse(const char* directory, const char* name, std::string_view why) {
  return fail(ErrorKind::kInvalid,
              "the image's /" + std::string(directory) + "/" + name + " " + std::string(why),
              "give the user by number: --user UID:GID");
}

// One layer: the file, nothing of that name here, or something here that hides what is below.
Result<Answer> look_in(int layer, const char* directory_name, const char* name) {
  const auto directory = open_at2(layer, directory_name, O_RDONLY | O_DIRECTORY, kStraight);
  if (!directory) {
    if (directory.error().error == ENOENT) return Answer{Found::kNothing, {}};
    if (directory.error().error == ELOOP)
      return refuse(directory_name, name, "lies behind a symbolic link");
    if (directory.error().error == ENOTDIR)
      return Answer{Found::kHidden, {}};  // a whiteout, or a file
    return std::unexpected(Error(directory.error()));
  }
  struct stat status{};
  if (::fstatat(directory->get(), name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) return std::unexpected(Error(SysError{"stat", errno, name}));
    return Answer{is_opaque(directory->get()) ? Found::kHidden : Found::kNothing, {}};
  }
  if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0)) return Answer{Found::kHidden, {}};
  if (S_ISLNK(status.st_mode)) return refuse(directory_name, name, "is a symbolic link");
  if (!S_ISREG(status.st_mode)) return refuse(directory_name, name, "is not a regular file");
  if (status.st_size > static_cast<off_t>(kMostBytes))
    return refuse(directory_name, name, "is too large");
  TRY_ASSIGN(const Fd file,
             open_at2(directory->get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, kStraight));
  TRY_ASSIGN(std::string text, read_fd(file.get(), kMostBytes));
  return Answer{Found::kFile, std::move(text)};
}

}  // namespace

Result<std::optional<std::string>> ImageFiles::read(const char* directory, const char* name) const {
  for (const std::string& path : layers_) {
    TRY_ASSIGN(const Fd layer, open_at(store_, path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW));
    TRY_ASSIGN(Answer answer, look_in(layer.get(), directory, name));
    if (answer.found == Found::kFile) return std::move(answer.text);
    if (answer.found == Found::kHidden) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace bulkhead::engine
