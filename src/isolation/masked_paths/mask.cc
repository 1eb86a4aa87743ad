#include "isolation/masked_paths/mask.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <array>
#include <string_view>

#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/root_dir.h"

namespace bulkhead::isolation {
namespace {

constexpr std::uint64_t kCoverAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;

// What root of the container must not change about the host's own node: read-only.
SysResult<Fd> null_device() noexcept {
  const MountAttributes attributes{kCoverAttributes, 0, MS_PRIVATE, -1};
  auto tree = clone_tree_with(AT_FDCWD, "/dev/null", Recursion::kThisMount, attributes);
  // Without the new API: the host's node itself, bound as it is.
  if (!tree && is_refused_api(tree.error().error)) tree = open_at(AT_FDCWD, "/dev/null", O_PATH);
  if (!tree) return tree;
  // Whatever else stands at that path must not become a window (CVE-2025-31133).
  struct stat status {};
  if (::fstat(tree->get(), &status) != 0) return sys_fail("fstat", "/dev/null");
  if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3))
    return sys_fail_with(ENXIO, "the null device is another file", "/dev/null");
  return tree;
}

SysResult<Fd> empty_directory(const char* label) noexcept {
  auto context = open_file_system("tmpfs");
  if (!context) return context;
  TRY(set_parameter(context->get(), "ro", nullptr));
  if (label != nullptr) TRY(set_parameter(context->get(), "context", label));
  return create_mount(context->get(), kCoverAttributes | MOUNT_ATTR_NODEV, "tmpfs");
}

// The usual ones; a wrong guess costs one more call.
bool is_likely_directory(const Place& place) noexcept {
  constexpr std::array<std::string_view, 4> kDirectoriesOfProc = {"acpi", "asound", "scsi", "bus"};
  if (place.anchor == Anchor::kSys) return true;
  for (const std::string_view name : kDirectoriesOfProc)
    if (place.path == name) return true;
  return false;
}

bool is_missing(int error) noexcept { return error == ENOENT || error == ENOTDIR; }

}  // namespace

SysResult<void> Masker::enter(int directory) noexcept {
  if (here_ == directory) return {};
  if (::fchdir(directory) != 0) return sys_fail("fchdir", "/proc");
  here_ = directory;
  return {};
}

// In a procfs that this launch has just mounted, names are what the kernel says they are, but for the
// processes' directories and the links into them, behind which magic links wait.
bool Masker::is_plain_proc(const Place& place) const noexcept {
  if (place.anchor != Anchor::kProc || child_.fresh_proc < 0) return false;
  const std::string_view path = place.path;
  const std::string_view first = path.substr(0, path.find('/'));
  if (first.empty() || (first.front() >= '0' && first.front() <= '9')) return false;
  return first != "self" && first != "thread-self" && first != "net" && first != "mounts" &&
         first != "." && first != "..";
}

SysResult<Fd> Masker::open(const Place& place) const noexcept {
  const int anchor = anchor_of(child_, place.anchor);
  const bool anchored = anchor >= 0;
  return RootDir(anchored ? anchor : child_.root)
      .open(anchored ? place.path.c_str() : place.absolute.c_str(), O_PATH);
}

SysResult<Masker::Cover*> Masker::cover_of(Kind kind) noexcept {
  Cover& cover = kind == Kind::kFile ? null_device_ : empty_;
  if (cover.mount) return &cover;
  auto made = kind == Kind::kFile ? null_device() : empty_directory(label_);
  if (!made) return std::unexpected(made.error());
  cover.mount = std::move(*made);
  return &cover;
}

// Onto `name` beneath `directory`, which is a procfs; or onto the descriptor itself.
SysResult<void> Masker::put(Kind kind, int directory, const char* name, const Place& place) noexcept {
  const char* subject = place.absolute.c_str();
  const auto cover = cover_of(kind);
  if (!cover && kind == Kind::kDirectory && is_refused_api(cover.error().error)) {
    const DescriptorPath by_descriptor(directory);
    TRY(enter(*name == '\0' ? child_.proc : directory));
    const char* target = *name == '\0' ? by_descriptor.c_str() : name;
    if (::mount("tmpfs", target, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
      return sys_fail("mount(tmpfs)", subject);
    return {};
  }
  if (!cover) return std::unexpected(cover.error());
  const int mount = (*cover)->mount.get();
  if (!(*cover)->attached) {
    const auto attached = attach_mount(mount, directory, name);
    if (attached) {
      (*cover)->attached = true;
      return {};
    }
    if (!is_refused_api(attached.error().error) && attached.error().error != EINVAL)
      return sys_fail_with(attached.error().error, attached.error().call, subject);
  }
  const DescriptorPath source(mount);
  const DescriptorPath by_descriptor(directory);
  TRY(enter(*name == '\0' ? child_.proc : directory));
  const char* target = *name == '\0' ? by_descriptor.c_str() : name;
  if (::mount(source.c_str(), target, nullptr, MS_BIND, nullptr) != 0)
    return sys_fail("mount(MS_BIND)", subject);
  return {};
}

SysResult<void> Masker::mask_in_proc(const Place& place) noexcept {
  const Kind guess = is_likely_directory(place) ? Kind::kDirectory : Kind::kFile;
  const Kind other = guess == Kind::kFile ? Kind::kDirectory : Kind::kFile;
  auto put_on = put(guess, child_.fresh_proc, place.path.c_str(), place);
  if (!put_on && put_on.error().error == ENOTDIR)
    put_on = put(other, child_.fresh_proc, place.path.c_str(), place);
  if (!put_on && is_missing(put_on.error().error)) return {};
  return put_on;
}

SysResult<void> Masker::mask(const Place& place) noexcept {
  if (is_plain_proc(place)) return mask_in_proc(place);
  const auto target = open(place);
  if (!target) {
    if (is_missing(target.error().error)) return {};
    return sys_fail_with(target.error().error, target.error().call, place.absolute.c_str());
  }
  struct stat status {};
  if (::fstat(target->get(), &status) != 0) return sys_fail("fstat", place.absolute.c_str());
  const Kind kind = S_ISDIR(status.st_mode) ? Kind::kDirectory : Kind::kFile;
  return put(kind, target->get(), "", place);
}

// Bound onto itself and made read-only, by name: two calls.
SysResult<void> Masker::read_only_in_proc(const Place& place) noexcept {
  const char* name = place.path.c_str();
  const char* subject = place.absolute.c_str();
  TRY(enter(child_.fresh_proc));
  if (::mount(name, name, nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    if (is_missing(errno)) return {};
    return sys_fail("mount(MS_BIND)", subject);
  }
  const MountAttributes read_only{MOUNT_ATTR_RDONLY, 0, 0, -1};
  const auto set = set_attributes(child_.fresh_proc, name, Recursion::kWholeTree, read_only);
  if (set) return {};
  if (set.error().error != ENOSYS) return sys_fail_with(set.error().error, set.error().call, subject);
  // Before Linux 5.12.
  struct statfs status {};
  if (::statfs(name, &status) != 0) return sys_fail("statfs", subject);
  const auto kept = static_cast<unsigned long>(status.f_flags) &
                    (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME);
  if (::mount(nullptr, name, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kept, nullptr) != 0)
    return sys_fail("mount(MS_REMOUNT)", subject);
  return {};
}

SysResult<void> Masker::make_read_only(const Place& place) noexcept {
  const char* subject = place.absolute.c_str();
  if (is_plain_proc(place)) return read_only_in_proc(place);
  const auto target = open(place);
  if (!target) {
    if (is_missing(target.error().error)) return {};
    return sys_fail_with(target.error().error, target.error().call, subject);
  }
  const MountAttributes read_only{MOUNT_ATTR_RDONLY, 0, 0, -1};
  const auto tree = clone_tree_with(target->get(), "", Recursion::kWholeTree, read_only);
  if (!tree) return sys_fail_with(tree.error().error, tree.error().call, subject);
  const auto attached = attach_mount(tree->get(), target->get(), "");
  if (!attached) return sys_fail_with(attached.error().error, attached.error().call, subject);
  return {};
}

}  // namespace bulkhead::isolation
