// pid namespace: which processes the container can see, signal and trace.
//
// Stops:    naming any process outside: no signal, no ptrace, no /proc/PID of the host or of
// another
//           container; when its first process dies, the kernel kills all the others.
// Does not: hide the container's processes from the host, limit their number (that is the pids
//           cgroup), or protect them from each other.
// Kernel:   CLONE_NEWPID, Linux 3.8 (2.6.24); joined by setns(2), 3.8.
// Order:    before everything: a process is born in its pid namespace and never changes it, so that
//           launch/ clones the child into it; this layer plans it and looks whether it holds.
#pragma once

#include "isolation/namespace.h"

namespace bulkhead::isolation {

struct PidNamespace {
  static constexpr std::string_view kName = "pid namespace";
  static constexpr Card kCard{
      .stops = "seeing, signalling and tracing processes outside of the container",
      .does_not_stop = "the number of processes, and what they do to each other",
      .kernel = "clone3(CLONE_NEWPID), Linux 3.8; setns",
      .order = "first: a process is born in its pid namespace; launch clones the child into it",
  };
  using After = LayerList<>;
  using Plan = NamespacePlan;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  // Refuses to go on in a process that launch/ has not made in the namespace.
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
