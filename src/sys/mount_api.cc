#include "sys/mount_api.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <cstring>

namespace bulkhead {
namespace {

struct mount_attr kernel_form(const MountAttributes& attributes) noexcept {
  struct mount_attr form{};
  form.attr_set = attributes.set;
  form.attr_clr = attributes.clear;
  // The access time settings are one field: whoever sets one replaces the others.
  if ((attributes.set & MOUNT_ATTR__ATIME) != 0) form.attr_clr |= MOUNT_ATTR__ATIME;
  form.propagation = attributes.propagation;
  if ((attributes.set & MOUNT_ATTR_IDMAP) != 0)
    form.userns_fd = static_cast<std::uint64_t>(attributes.user_namespace);
  return form;
}

struct FlagPair {
  std::uint64_t attribute;
  unsigned long flag;
};
constexpr FlagPair kFlags[] = {
    {MOUNT_ATTR_RDONLY, MS_RDONLY},         {MOUNT_ATTR_NOSUID, MS_NOSUID},
    {MOUNT_ATTR_NODEV, MS_NODEV},           {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
    {MOUNT_ATTR_NOATIME, MS_NOATIME},       {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME},
    {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, {MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW}};

unsigned tree_flags(Recursion recursion, const char* path) noexcept {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  if (recursion == Recursion::kWholeTree) flags |= AT_RECURSIVE;
  if (*path == '\0') flags |= AT_EMPTY_PATH;
  return flags;
}

}  // namespace

SysResult<Fd> open_file_system(const char* type) noexcept {
  const int fd = ::fsopen(type, FSOPEN_CLOEXEC);
  if (fd < 0) return sys_fail("fsopen", type);
  return Fd(fd);
}

SysResult<void> set_parameter(int file_system, const char* key, const char* value) noexcept {
  const auto command = value == nullptr ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
  if (::fsconfig(file_system, command, key, value, 0) != 0) return sys_fail("fsconfig", key);
  return {};
}

SysResult<Fd> create_mount(int file_system, std::uint64_t attributes, const char* type) noexcept {
  if (::fsconfig(file_system, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return sys_fail("fsconfig(create)", type);
  const int fd = ::fsmount(file_system, FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes));
  if (fd < 0) return sys_fail("fsmount", type);
  return Fd(fd);
}

SysResult<Fd> clone_tree(int directory, const char* path, Recursion recursion) noexcept {
  const int fd = ::open_tree(directory, path, tree_flags(recursion, path));
  if (fd < 0) return sys_fail("open_tree", path);
  return Fd(fd);
}

SysResult<Fd> clone_tree_with(int directory, const char* path, Recursion recursion,
                              const MountAttributes& attributes) noexcept {
  if (attributes.empty()) return clone_tree(directory, path, recursion);
  auto form = kernel_form(attributes);
  const long fd = ::syscall(SYS_open_tree_attr, directory, path, tree_flags(recursion, path), &form,
                            sizeof form);
  if (fd >= 0) return Fd(static_cast<int>(fd));
  if (!is_refused_api(errno)) return sys_fail("open_tree_attr", path);
  auto tree = clone_tree(directory, path, recursion);
  if (!tree) return tree;
  if (auto set = set_attributes(tree->get(), "", recursion, attributes); !set)
    return sys_fail_with(set.error().error, set.error().call, path);
  return tree;
}

SysResult<void> attach_mount(int tree, int directory, const char* name) noexcept {
  const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*name == '\0' ? MOVE_MOUNT_T_EMPTY_PATH : 0U);
  if (::move_mount(tree, "", directory, name, flags) == 0) return {};
  if (errno != EINVAL) return sys_fail("move_mount", name);
  // mount(2) says ENOTDIR about a file on a directory and the other way round; so do we.
  struct stat from{};
  struct stat to{};
  const bool known = ::fstat(tree, &from) == 0 &&
                     ::fstatat(directory, name, &to, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0;
  const bool mismatch = known && S_ISDIR(from.st_mode) != S_ISDIR(to.st_mode);
  return sys_fail_with(mismatch ? ENOTDIR : EINVAL, "move_mount", name);
}

SysResult<void> set_attributes(int directory, const char* path, Recursion recursion,
                               const MountAttributes& attributes) noexcept {
  auto form = kernel_form(attributes);
  unsigned flags = recursion == Recursion::kWholeTree ? AT_RECURSIVE : 0U;
  if (*path == '\0') flags |= AT_EMPTY_PATH;
  if (::syscall(SYS_mount_setattr, directory, path, flags, &form, sizeof form) != 0)
    return sys_fail("mount_setattr", path);
  return {};
}

SysResult<void> bind_classic(int proc, int source, int target, Recursion recursion) noexcept {
  if (::fchdir(proc) != 0) return sys_fail("fchdir", "/proc");
  const unsigned long deep = recursion == Recursion::kWholeTree ? MS_REC : 0;
  const DescriptorPath from(source);
  const DescriptorPath to(target);
  if (::mount(from.c_str(), to.c_str(), nullptr, MS_BIND | deep, nullptr) != 0)
    return sys_fail("mount(MS_BIND)");
  return {};
}

SysResult<void> set_attributes_classic(int proc, int root, Recursion recursion,
                                       const MountAttributes& attributes) noexcept {
  const bool changes = attributes.set != 0 || attributes.clear != 0;
  if (changes && recursion == Recursion::kWholeTree)
    return sys_fail_with(ENOSYS, "mount_setattr(AT_RECURSIVE)");
  if ((attributes.set & MOUNT_ATTR_IDMAP) != 0)
    return sys_fail_with(ENOSYS, "mount_setattr(MOUNT_ATTR_IDMAP)");
  if (::fchdir(proc) != 0) return sys_fail("fchdir", "/proc");
  const DescriptorPath path(root);
  if (changes) {
    struct statfs status{};
    if (::fstatfs(root, &status) != 0) return sys_fail("fstatfs");
    // What was in force stays in force; the names of statvfs and of mount have the same values.
    auto flags = static_cast<unsigned long>(status.f_flags) &
                 (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME);
    for (const auto& pair : kFlags) {
      if ((attributes.clear & pair.attribute) != 0) flags &= ~pair.flag;
      if ((attributes.set & pair.attribute) != 0) flags |= pair.flag;
    }
    if (::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_BIND | flags, nullptr) != 0)
      return sys_fail("mount(MS_REMOUNT)");
  }
  const unsigned long deep = recursion == Recursion::kWholeTree ? MS_REC : 0;
  if (attributes.propagation != 0 &&
      ::mount(nullptr, path.c_str(), nullptr, attributes.propagation | deep, nullptr) != 0)
    return sys_fail("mount(propagation)");
  return {};
}

SysResult<void> set_attributes_anyhow(int proc, int root, Recursion recursion,
                                      const MountAttributes& attributes) noexcept {
  if (attributes.empty()) return {};
  const auto set = set_attributes(root, "", recursion, attributes);
  if (set || set.error().error != ENOSYS) return set;
  return set_attributes_classic(proc, root, recursion, attributes);
}

bool is_same_file(int one, int other) noexcept {
  struct stat first{};
  struct stat second{};
  return ::fstat(one, &first) == 0 && ::fstat(other, &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

DescriptorPath::DescriptorPath(int fd) noexcept {
  static constexpr char kPrefix[] = "self/fd/";
  std::memcpy(text_, kPrefix, sizeof kPrefix - 1);
  char digits[12];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + fd % 10);
    fd /= 10;
  } while (fd > 0);
  char* at = text_ + sizeof kPrefix - 1;
  while (count > 0) *at++ = digits[--count];
  *at = '\0';
}

}  // namespace bulkhead
