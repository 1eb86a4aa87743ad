// Putting masks on, one path after the other, with what they share: one null device, one empty
// tmpfs. The child's half: nothing here allocates or formats.
#pragma once

#include "isolation/child_context.h"
#include "isolation/mounts/place.h"
#include "isolation/mounts/scratch_fd.h"
#include "sys/mount_api.h"

namespace bulkhead::isolation {

class Masker {
 public:
  // `label`: the SELinux label of the empty tmpfs, or null.
  Masker(const ChildContext& child, const char* label) noexcept : child_(child), label_(label) {}

  // What does not exist needs no mask.
  SysResult<void> mask(const Place& place) noexcept;
  SysResult<void> make_read_only(const Place& place) noexcept;

 private:
  enum class Kind { kFile, kDirectory };

  // A mount that is put on the first path of its kind and copied from there to all others.
  struct Cover {
    ScratchFd mount;
    bool attached = false;
    bool classic = false;  // the new mount API is refused
  };

  bool is_plain_proc(const Place& place) const noexcept;
  SysResult<ScratchFd> open(const Place& place) const noexcept;
  SysResult<Cover*> cover_of(Kind kind) noexcept;
  SysResult<void> put(Kind kind, int directory, const char* name, const Place& place) noexcept;
  SysResult<void> put_classic(Kind kind, int source, const Place& place) noexcept;
  SysResult<void> bind_classic_with(const MountAttributes& attributes, int source,
                                    const Place& place) noexcept;
  SysResult<void> mask_in_proc(const Place& place) noexcept;
  SysResult<void> read_only_in_proc(const Place& place) noexcept;
  SysResult<void> enter(int directory) noexcept;

  const ChildContext& child_;
  const char* label_;
  int here_ = -1;
  Cover null_device_;
  Cover empty_;
};

}  // namespace bulkhead::isolation
