// What the child half of a launch hands from layer to layer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "oci/spec.h"
#include "sys/error.h"

namespace bulkhead::isolation {

// How a layer waits for its other half in the parent. launch/ implements it over the handshake
// socket; unit tests implement it in place. Function pointers: nothing here may allocate.
// Descriptors that come from the parent stay owned by the link.
struct ParentLink {
  void* self = nullptr;
  // Blocks until the parent has written the id maps of the child's new user namespace.
  SysResult<void> (*wait_for_id_maps)(void* self) noexcept = nullptr;
  // Blocks until the cgroup directories exist and carry their limits: the membership files
  // (`tasks`, `cgroup.procs`), opened for writing by the parent, in the order of the cgroup plan.
  SysResult<std::span<const int>> (*wait_for_cgroups)(void* self) noexcept = nullptr;
  // Blocks until the parent's detached mounts have arrived: the one of number `index`.
  SysResult<int> (*wait_for_mount)(void* self, std::size_t index) noexcept = nullptr;
  // Hands a descriptor ("console") to the parent, which owns a duplicate when the call returns.
  SysResult<void> (*send_descriptor)(void* self, std::string_view purpose,
                                     int fd) noexcept = nullptr;
};

struct ChildContext {
  ParentLink parent;

  // O_PATH directory of a procfs that shows this process, checked by PROC_SUPER_MAGIC before any
  // container content was reachable. The only way in which layers name /proc files ("self/status").
  int proc = -1;
  // O_PATH of this process's own directory of namespaces, opened when it is first needed.
  int namespaces = -1;
  // O_PATH directory of the container's root, set by the rootfs layer.
  int root = -1;
  // Roots of the file systems that the mounts layer itself made fresh at /proc, /sys, /dev and
  // /dev/pts, O_PATH; -1 where the specification has none such. Reached by descriptor, so that no
  // rename in a shared image can lead a mask or a device elsewhere.
  int fresh_proc = -1;
  int fresh_sys = -1;
  int fresh_dev = -1;
  int fresh_devpts = -1;
  // The terminal's slave side once the console layer has opened it, else -1.
  int console = -1;
  // CLONE_NEW* bits of the namespaces that launch/ has joined already (exec, or a new user
  // namespace beside joined ones, which can only be entered with the host's privileges): their
  // layers have nothing left to enter, but still verify.
  std::uint64_t joined = 0;
  // By oci::NamespaceType: the number of the namespace that a layer entered by a path, as its
  // descriptor said; 0 for the others. verify compares it with /proc/self/ns.
  std::array<std::uint64_t, oci::kNamespaceTypeCount> entered{};
  // A network namespace that was made ahead (network/ahead.h), to be entered in place of a new one; -1
  // when there is none. Close-on-exec.
  int network = -1;
  // The process was cloned straight into its cgroup v2 group (CLONE_INTO_CGROUP).
  bool cloned_into_cgroup = false;
  // Descriptors of launch/ itself (handshake, start signal) that must live until execve; all are
  // close-on-exec. The descriptors layer closes everything else.
  std::span<const int> keep;
};

}  // namespace bulkhead::isolation
