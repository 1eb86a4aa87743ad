#include "isolation/masked_paths/mask.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <string_view>

#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/root_dir.h"

namespace bulkhead::isolation {
namespace {

constexpr std::uint64_t kCoverAttributes =
    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;

constexpr MountAttributes kNullAttributes{kCoverAttributes, 0, MS_PRIVATE, -1};
constexpr MountAttributes kReadOnly{MOUNT_ATTR_RDONLY, 0, 0, -1};

// Whatever else stands at that path must not become a window (CVE-2025-31133).
SysResult<void> require_null_device(int fd) noexcept {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return sys_fail("fstat", "/dev/null");
  if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3))
    return sys_fail_with(ENXIO, "the null device is another file", "/dev/null");
  return {};
}

SysResult<Fd> empty_directory(const char* label) noexcept {
  auto opened = open_file_system("tmpfs");
  if (!opened) return opened;
  const ScratchFd context(std::move(*opened));
  TRY(set_parameter(context.get(), "ro", nullptr));
  if (label != nullptr) TRY(set_parameter(context.get(), "context", label));
  return create_mount(context.get(), kCoverAttributes | MOUNT_ATTR_NODEV, "tmpfs");
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

// In a procfs that this launch has just mounted, names are what the kernel says they are, but for
// the processes' directories and the links into them, behind which magic links wait.
bool Masker::is_plain_proc(const Place& place) const noexcept {
  if (place.anchor != Anchor::kProc || child_.fresh_proc < 0) return false;
  const std::string_view path = place.path;
  const std::string_view first = path.substr(0, path.find('/'));
  if (first.empty() || (first.front() >= '0' && first.front() <= '9')) return false;
  return first != "self" && first != "thread-self" && first != "net" && first != "mounts" &&
         first != "." && first != "..";
}

SysResult<ScratchFd> Masker::open(const Place& place) const noexcept {
  const int anchor = anchor_of(child_, place.anchor);
  const bool anchored = anchor >= 0;
  auto found = RootDir(anchored ? anchor : child_.root)
                   .open(anchored ? place.path.c_str() : place.absolute.c_str(), O_PATH);
  if (!found) return std::unexpected(found.error());
  return ScratchFd(std::move(*found));
}

SysResult<Masker::Cover*> Masker::cover_of(Kind kind) noexcept {
  Cover& cover = kind == Kind::kFile ? null_device_ : empty_;
  if (cover.mount || cover.classic) return &cover;
  // Read-only: root of the container must not change the mode of the host's own node.
  auto made = kind == Kind::kFile
                  ? clone_tree_with(AT_FDCWD, "/dev/null", Recursion::kThisMount, kNullAttributes)
                  : empty_directory(label_);
  if (!made && is_refused_api(made.error().error)) {
    cover.classic = true;
    if (kind == Kind::kDirectory) return &cover;
    made = open_at(AT_FDCWD, "/dev/null", O_PATH);
  }
  if (!made) return std::unexpected(made.error());
  if (kind == Kind::kFile) TRY(require_null_device(made->get()));
  cover.mount = ScratchFd(std::move(*made));
  return &cover;
}

// `source` bound where the place is, looked up again, and given its attributes.
SysResult<void> Masker::bind_classic_with(const MountAttributes& attributes, int source,
                                          const Place& place) noexcept {
  const char* subject = place.absolute.c_str();
  const auto target = open(place);
  if (!target) return sys_fail_with(target.error().error, target.error().call, subject);
  here_ = -1;
  const auto bound = bind_classic(child_.proc, source, target->get(), Recursion::kWholeTree);
  if (!bound) return sys_fail_with(bound.error().error, bound.error().call, subject);
  const auto mounted = open(place);
  if (!mounted || !is_same_file(source, mounted->get()))
    return sys_fail_with(EXDEV, "the path was swapped while it was mounted", subject);
  const auto set =
      set_attributes_anyhow(child_.proc, mounted->get(), Recursion::kThisMount, attributes);
  if (!set) return sys_fail_with(set.error().error, set.error().call, subject);
  return {};
}

SysResult<void> Masker::put_classic(Kind kind, int source, const Place& place) noexcept {
  if (kind == Kind::kFile) return bind_classic_with(kNullAttributes, source, place);
  const auto target = open(place);
  if (!target)
    return sys_fail_with(target.error().error, target.error().call, place.absolute.c_str());
  TRY(enter(child_.proc));
  if (::mount("tmpfs", DescriptorPath(target->get()).c_str(), "tmpfs",
              MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    return sys_fail("mount(tmpfs)", place.absolute.c_str());
  return {};
}

// Onto `name` beneath `directory`, which is a procfs; or onto the descriptor itself.
SysResult<void> Masker::put(Kind kind, int directory, const char* name,
                            const Place& place) noexcept {
  const char* subject = place.absolute.c_str();
  const auto cover = cover_of(kind);
  if (!cover) return std::unexpected(cover.error());
  const int mount = (*cover)->mount.get();
  if ((*cover)->classic) return put_classic(kind, mount, place);
  if (!(*cover)->attached) {
    const auto attached = attach_mount(mount, directory, name);
    if (!attached) return sys_fail_with(attached.error().error, attached.error().call, subject);
    (*cover)->attached = true;
    return {};
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
  struct stat status{};
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
  auto set = set_attributes(child_.fresh_proc, name, Recursion::kWholeTree, kReadOnly);
  if (!set && set.error().error == ENOSYS) {
    const auto mounted = open_at(child_.fresh_proc, name, O_PATH | O_NOFOLLOW);
    if (!mounted) return sys_fail_with(mounted.error().error, mounted.error().call, subject);
    here_ = -1;
    set = set_attributes_classic(child_.proc, mounted->get(), Recursion::kThisMount, kReadOnly);
  }
  if (!set) return sys_fail_with(set.error().error, set.error().call, subject);
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
  const auto tree = clone_tree_with(target->get(), "", Recursion::kWholeTree, kReadOnly);
  if (!tree && is_refused_api(tree.error().error))
    return bind_classic_with(kReadOnly, target->get(), place);
  if (!tree) return sys_fail_with(tree.error().error, tree.error().call, subject);
  const auto attached = attach_mount(tree->get(), target->get(), "");
  if (!attached) return sys_fail_with(attached.error().error, attached.error().call, subject);
  return {};
}

}  // namespace bulkhead::isolation
