// oom score: which process the kernel kills first when memory runs out.
//
// Stops:    a container being spared at the host's expense when memory runs out (a positive score).
// Does not: limit memory; and within its own cgroup limit the container is alone anyway.
// Kernel:   /proc/PID/oom_score_adj, Linux 2.6.36; below the value at which the process was started
//           only with CAP_SYS_RESOURCE of the host.
// Order:    before the identity is given up. In a user namespace the file does not belong to the
//           process: there the parent writes it beforehand (from_parent).
#pragma once

#include "base/id.h"
#include "isolation/layer.h"

namespace bulkhead::isolation {

struct UserNamespace;

struct OomScore {
  static constexpr std::string_view kName = "oom score";
  static constexpr Card kCard{
      .stops = "being spared at the host's expense when the host's memory runs out",
      .does_not_stop = "taking memory; that is for the cgroup",
      .kernel = "/proc/PID/oom_score_adj, Linux 2.6.36",
      .order = "before the identity is given up",
  };
  using After = LayerList<UserNamespace>;

  struct Plan {
    bool enabled = false;
    int adjustment = 0;  // -1000 to 1000
    std::string text;    // what is written
    bool written_by_parent = false;
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  // With the host's capabilities: in the parent, after clone and before any of the child's waits is
  // answered; or in the child itself (pid 0), before it enters the namespaces of an exec.
  static SysResult<void> from_parent(const Plan& plan, HostPid child) noexcept;
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
