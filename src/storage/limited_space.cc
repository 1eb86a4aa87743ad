#include "storage/limited_space.h"

#include <unistd.h>

#include "storage/helper_process.h"
#include "sys/file.h"
#include "sys/loop_device.h"
#include "sys/mount_api.h"

namespace bulkhead::storage {
namespace {

// A new file system in the file `path` (for a program of its own to open).
Result<void> make_ext4(const std::string& path, Upper upper) {
  TRY_ASSIGN(const std::string program, find_system_program("mkfs.ext4", "e2fsprogs"));
  // Nothing is reserved for the host's root, who never writes here. The inode tables are left as
  // they are: the file is sparse, so they read as zeros, and `noinit_itable` leaves it at that.
  std::vector<std::string> words = {
      program, "-q", "-F", "-b", "4096", "-m", "0", "-E", "lazy_itable_init=1,nodiscard"};
  // Whoever does not keep the content does not need it whole after a loss of power.
  if (upper == Upper::kDiscarded) words.insert(words.end(), {"-O", "^has_journal"});
  words.push_back(path);
  return run_helper_process(words);
}

SysResult<Fd> mount_ext4(const LoopDevice& loop) noexcept {
  TRY_ASSIGN(const Fd ext4, open_file_system("ext4"));
  TRY(set_parameter(ext4.get(), "source", loop.path));
  TRY(set_parameter(ext4.get(), "noinit_itable", nullptr));
  // What the container deletes is given back to the host: holes in the file.
  TRY(set_parameter(ext4.get(), "discard", nullptr));
  return create_mount(ext4.get(), MOUNT_ATTR_NODEV, "ext4");
}

Result<Fd> make_image_file(const Snapshot& snapshot) {
  const std::string path = snapshot.container + "/" + kImageFile;
  TRY_ASSIGN(const Fd image,
             open_at(snapshot.store, path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  if (::ftruncate(image.get(), static_cast<off_t>(snapshot.limit->bytes)) != 0)
    return std::unexpected(Error(SysError{"ftruncate", errno, path.c_str()}));
  const std::string seen_from_outside =
      "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(snapshot.store) + "/" + path;
  TRY(make_ext4(seen_from_outside, snapshot.upper));
  auto mount = mount_image_file(image.get());
  if (!mount) return std::unexpected(Error(mount.error()));
  return *std::move(mount);
}

Result<Fd> make_tmpfs(const ProjectLimit& limit) {
  TRY_ASSIGN(const Fd tmpfs, open_file_system("tmpfs"));
  TRY(set_parameter(tmpfs.get(), "size", std::to_string(limit.bytes).c_str()));
  TRY(set_parameter(tmpfs.get(), "nr_inodes", std::to_string(limit.files()).c_str()));
  TRY(set_parameter(tmpfs.get(), "mode", "0700"));
  TRY_ASSIGN(Fd mount, create_mount(tmpfs.get(), MOUNT_ATTR_NODEV, "tmpfs"));
  return mount;
}

}  // namespace

Result<Fd> make_limited_space(const Snapshot& snapshot) {
  switch (snapshot.limit->method) {
    case LimitMethod::kProjectQuota: return Fd();
    case LimitMethod::kImageFile: {
      auto made = make_image_file(snapshot);
      if (!made)
        return std::unexpected(std::move(made).error().within("the container's ext4 image file"));
      return made;
    }
    case LimitMethod::kTmpfs: return make_tmpfs({0, snapshot.limit->bytes});
  }
  return fail(ErrorKind::kInternal, "a size limit of no kind");
}

SysResult<Fd> mount_image_file(int image) noexcept {
  auto loop = find_loop_device(image);
  if (!loop) loop = attach_loop_device(image, LoopAccess::kReadWrite, LoopCache::kShared);
  if (!loop) return std::unexpected(loop.error());
  return mount_ext4(*loop);
}

Result<void> limit_by_quota(int parent, const ProjectLimit& limit) {
  const auto set = set_project_limit(parent, limit);
  if (!set)
    return std::unexpected(
        Error(set.error())
            .within("the container's project quota, project " + std::to_string(limit.project)));
  for (const char* const name : {"upper", "work"}) {
    TRY_ASSIGN(const Fd directory, open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(assign_project(directory.get(), limit.project));
  }
  return {};
}

}  // namespace bulkhead::storage
