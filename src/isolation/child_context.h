// What the child half of a launch hands from layer to layer.
#pragma once

#include <cstddef>
#include <string_view>

#include "sys/error.h"

namespace bulkhead::isolation {

// How a layer waits for its other half in the parent. launch/ implements it over the handshake
// socket; unit tests implement it in place. Function pointers: nothing here may allocate.
struct ParentLink {
  void* self = nullptr;
  // Blocks until the parent has written the id maps of the child's new user namespace.
  SysResult<void> (*wait_for_id_maps)(void* self) noexcept = nullptr;
  // Blocks until the cgroup directories exist and carry their limits.
  SysResult<void> (*wait_for_cgroups)(void* self) noexcept = nullptr;
  // Blocks until the parent's detached mounts have arrived; the descriptor of number `index` of
  // the plan's list. It stays owned by the link.
  SysResult<int> (*wait_for_mount)(void* self, std::size_t index) noexcept = nullptr;
  // Hands a descriptor to the parent, which owns a duplicate when the call returns.
  SysResult<void> (*send_descriptor)(void* self, std::string_view purpose, int fd) noexcept = nullptr;
};

struct ChildContext {
  ParentLink parent;

  // O_PATH directory of a procfs that shows this process, checked by PROC_SUPER_MAGIC before any
  // container content was reachable. The only way in which layers name /proc files.
  int proc = -1;
  // O_PATH directory of the container's root, from the rootfs layer on.
  int root = -1;
  // The terminal's slave side once the console layer has opened it, else -1.
  int console = -1;
  // Whether this process has joined an existing container (exec) and is not its init.
  bool joining = false;
};

}  // namespace bulkhead::isolation
