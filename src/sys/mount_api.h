// Mounts by descriptor: the mount API of Linux 5.2 (fsopen, open_tree, move_mount) and 5.12
// (mount_setattr). A detached mount is a descriptor: dropping it undoes it.
//
// Everything here is a thin call that neither allocates nor formats; the child half of a launch
// uses it.
#pragma once

#include <cstdint>

#include "sys/error.h"
#include "sys/fd.h"
#include "sys/uapi.h"

namespace bulkhead {

enum class Recursion { kThisMount, kWholeTree };

// What mount_setattr(2) changes: MOUNT_ATTR_* bits to set and to clear, and a propagation
// (MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE; 0 leaves it).
struct MountAttributes {
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
  std::uint64_t propagation = 0;
  int user_namespace = -1;  // with MOUNT_ATTR_IDMAP in `set`
  bool empty() const noexcept { return set == 0 && clear == 0 && propagation == 0; }
};

// fsopen(2): the configuration of a new mount of `type`.
SysResult<Fd> open_file_system(const char* type) noexcept;
// fsconfig(2): a parameter with a value, or a bare one when `value` is null.
SysResult<void> set_parameter(int file_system, const char* key, const char* value) noexcept;
// fsconfig(2) FSCONFIG_CMD_CREATE and fsmount(2): the detached mount, with MOUNT_ATTR_* bits.
SysResult<Fd> create_mount(int file_system, std::uint64_t attributes, const char* type) noexcept;

// open_tree(2) with OPEN_TREE_CLONE: a detached copy of what is mounted at `path` ("" for the
// directory itself), as a bind mount would make it. Symbolic links are followed.
SysResult<Fd> clone_tree(int directory, const char* path, Recursion recursion) noexcept;
// The same with its attributes: in one call (open_tree_attr, Linux 6.15) where there is one. The
// attributes apply to the same mounts that are copied.
SysResult<Fd> clone_tree_with(int directory, const char* path, Recursion recursion,
                              const MountAttributes& attributes) noexcept;

// move_mount(2): attaches the detached `tree` on what `name` beneath `directory` is ("" for the
// directory itself). A symbolic link at the last component is not followed. ENOTDIR when one is a
// directory and the other is not.
SysResult<void> attach_mount(int tree, int directory, const char* name) noexcept;

// mount_setattr(2) on the mount at `path` beneath `directory` ("" for the descriptor's own mount).
// Where the kernel has no such call (before 5.12), ENOSYS.
SysResult<void> set_attributes(int directory, const char* path, Recursion recursion,
                               const MountAttributes& attributes) noexcept;

// Whether a call of the new API failed because it is not there or is filtered away, so that the
// classic one should be tried. EPERM belongs here: it is what seccomp filters of outer containers
// say.
constexpr bool is_refused_api(int error) noexcept { return error == ENOSYS || error == EPERM; }

// "self/fd/N": a descriptor as a path relative to a procfs. For calls that take only paths; the
// working directory must be a procfs that is known to be one.
class DescriptorPath {
 public:
  explicit DescriptorPath(int fd) noexcept;
  const char* c_str() const noexcept { return text_; }

 private:
  char text_[24];
};

// The classic forms, by mount(2) on "self/fd/N". `proc` is a procfs that is known to be one; it is
// the working directory afterwards.

// A bind mount of what `source` is onto what `target` is.
SysResult<void> bind_classic(int proc, int source, int target, Recursion recursion) noexcept;
// What set_attributes() does, for kernels without mount_setattr: `root` is the root of the mount.
// Flags of whole trees cannot be changed this way (ENOSYS).
SysResult<void> set_attributes_classic(int proc, int root, Recursion recursion,
                                       const MountAttributes& attributes) noexcept;
// The new call, or where that is missing the classic one.
SysResult<void> set_attributes_anyhow(int proc, int root, Recursion recursion,
                                      const MountAttributes& attributes) noexcept;

// Whether both descriptors are of one file.
bool is_same_file(int one, int other) noexcept;

}  // namespace bulkhead
