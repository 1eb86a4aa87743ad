#include "sys/mount_api.h"

#include <fcntl.h>

#include <cstring>

namespace bulkhead {
namespace {

struct mount_attr kernel_form(const MountAttributes& attributes) noexcept {
  struct mount_attr form {};
  form.attr_set = attributes.set;
  form.attr_clr = attributes.clear;
  // The access time settings are one field: whoever sets one replaces the others.
  if ((attributes.set & MOUNT_ATTR__ATIME) != 0) form.attr_clr |= MOUNT_ATTR__ATIME;
  form.propagation = attributes.propagation;
  if ((attributes.set & MOUNT_ATTR_IDMAP) != 0)
    form.userns_fd = static_cast<std::uint64_t>(attributes.user_namespace);
  return form;
}

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
  const unsigned flags =
      MOVE_MOUNT_F_EMPTY_PATH | (*name == '\0' ? MOVE_MOUNT_T_EMPTY_PATH : 0U);
  if (::move_mount(tree, "", directory, name, flags) != 0) return sys_fail("move_mount", name);
  return {};
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

SysResult<void> mount_classic(const char* source, const char* target, const char* type,
                              unsigned long flags, const char* data) noexcept {
  if (::mount(source, target, type, flags, data) != 0) return sys_fail("mount", target);
  return {};
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
