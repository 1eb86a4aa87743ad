// The child's half of the mounts: from plans to system calls. Nothing here allocates or formats.
#pragma once

#include "isolation/child_context.h"
#include "isolation/mounts/plan.h"
#include "isolation/mounts/scratch_fd.h"

namespace bulkhead::isolation {

// The working directory, as a memory: classic mount(2) takes only paths, and a path relative to a
// directory that is known to be right cannot be led astray by the image.
class CurrentDirectory {
 public:
  SysResult<void> enter(int directory) noexcept;
  // To be said when an entered descriptor is closed: its number may mean something else later.
  void forget() noexcept { now_ = -1; }

 private:
  int now_ = -1;
};

SysResult<void> apply_mounts(const MountsPlan& plan, ChildContext& child) noexcept;
SysResult<void> verify_mounts(const MountsPlan& plan, ChildContext& child) noexcept;

// The destination of a mount, made where it is missing: `name` beneath `directory`, or the
// directory itself when the name is empty. The caller attaches without any further look-up of a
// path.
struct Destination {
  ScratchFd owned;
  int directory = -1;
  const char* name = "";
};
enum class Shape { kDirectory, kFile };
SysResult<Destination> find_destination(const MountPlan& plan, const ChildContext& child,
                                        int source_tree) noexcept;

// Attaches a detached tree there, and drops the destination.
SysResult<void> attach_at(int tree, const Destination& destination, const MountPlan& plan) noexcept;

// mount(2) there: relative to a directory that nobody else can write, or by descriptor.
struct ClassicMount {
  const char* source = nullptr;
  const char* type = nullptr;
  unsigned long flags = 0;
  const char* data = nullptr;
};
SysResult<void> mount_there(const MountPlan& plan, const Destination& destination,
                            const ClassicMount& mount, const ChildContext& child,
                            CurrentDirectory& here) noexcept;
// The root of what has just been mounted there by mount(2), looked up once more. It must be another
// directory than the one that was covered.
SysResult<Fd> open_mounted(const MountPlan& plan, const Destination& covered,
                           const ChildContext& child) noexcept;

// Attributes of what is attached, on any kernel.
SysResult<void> finish_attributes(int root, Recursion recursion, const MountAttributes& attributes,
                                  const MountPlan& plan, const ChildContext& child,
                                  CurrentDirectory& here) noexcept;

// A bind of `path` as a detached mount, with the attributes of the tree. Where the new mount API is
// missing, `detached` is false and the descriptor is that of the source itself.
struct BindSource {
  ScratchFd tree;
  bool detached = true;
  bool has_attributes = true;
};
SysResult<BindSource> open_bind_source(const char* path, const MountPlan& plan) noexcept;
// Puts it on its destination and gives it the attributes that are still missing.
SysResult<void> place_bind(BindSource source, const MountPlan& plan, const ChildContext& child,
                           CurrentDirectory& here) noexcept;

// cgroup_mount.cc
SysResult<void> mount_cgroups(const MountPlan& plan, ChildContext& child,
                              CurrentDirectory& here) noexcept;

// copy_up.cc: the files beneath `from` into the empty file system `to`: names, contents, links,
// owners, modes, times. Mounts beneath `from` are left out.
SysResult<void> copy_tree(int from, int to) noexcept;

}  // namespace bulkhead::isolation
