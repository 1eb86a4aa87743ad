// IPC namespace: System V queues, semaphores and shared memory, and POSIX message queues.
//
// Stops:    reaching the IPC objects of the host and of other containers by their keys and names,
//           and exhausting the host's limits on them (the limits are the namespace's own).
// Does not: cover POSIX shared memory (/dev/shm, which is a mount) and sockets.
// Kernel:   CLONE_NEWIPC, Linux 2.6.19; message queues 2.6.30.
// Order:    after the user namespace, which is to own it; before the mounts (mqueue shows the
//           namespace of the process that mounts it) and before the sysctls.
#pragma once

#include "isolation/namespace.h"

namespace bulkhead::isolation {

struct UserNamespace;

struct IpcNamespace {
  static constexpr std::string_view kName = "ipc namespace";
  static constexpr Card kCard{
      .stops = "reaching System V IPC objects and POSIX message queues outside of the container",
      .does_not_stop = "POSIX shared memory (/dev/shm is a mount) and sockets",
      .kernel = "unshare(CLONE_NEWIPC), Linux 2.6.19; setns",
      .order = "after the user namespace, which owns it; before the mqueue mount and the sysctls",
  };
  using After = LayerList<UserNamespace>;
  using Plan = NamespacePlan;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
