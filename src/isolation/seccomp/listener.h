// The parent half of SCMP_ACT_NOTIFY: the agent gets the listener descriptor and the container's
// state, as the runtime specification lays down (container process state).
#pragma once

#include "isolation/seccomp/seccomp.h"
#include "oci/state.h"
#include "sys/fd.h"

namespace bulkhead::isolation {

// Connects to plan.listener_path, sends one container process state with `listener` beside its
// first byte, and closes the connection. An error means that the agent did not get it: the start
// must be refused and the process killed.
Result<void> hand_over_listener(const Seccomp::Plan& plan, oci::State state, Fd listener);

}  // namespace bulkhead::isolation
