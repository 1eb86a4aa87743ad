// resource limits of the process: open files, address space, processes of the user, and the like.
//
// Stops:    one process taking more of a resource than it was given; RLIMIT_NPROC counts the user's
//           processes everywhere, so that users in different user namespaces should not share ids.
// Does not: limit the container as a whole; that is the cgroup's part.
// Kernel:   prlimit(2), Linux 2.6.36.
// Order:    after the descriptors: what comes before opens files of its own, for which a small limit
//           would leave no room. Only CAP_SYS_RESOURCE raises a hard limit, which the capabilities
//           therefore leave in force until execve; in a user namespace it does not count: there the
//           parent raises the hard limits beforehand (from_parent).
#pragma once

#include <sys/resource.h>

#include "base/id.h"
#include "isolation/layer.h"

namespace bulkhead::isolation {

struct Capabilities;
struct Descriptors;
struct UserNamespace;

struct Rlimits {
  static constexpr std::string_view kName = "resource limits";
  static constexpr Card kCard{
      .stops = "one process taking more files, memory, processes or time than it was given",
      .does_not_stop = "many processes together; that is for the cgroup",
      .kernel = "prlimit(2), Linux 2.6.36",
      .order = "after the descriptors, for a small limit would leave the set-up no room",
  };
  using After = LayerList<UserNamespace, Capabilities, Descriptors>;

  struct Limit {
    int resource = 0;       // RLIMIT_*
    const char* name = "";  // static
    struct rlimit64 value{};
  };
  struct Plan {
    std::vector<Limit> limits;
    // The process is in a user namespace, where it may not raise a hard limit, and the parent may.
    bool raised_by_parent = false;
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  // With the host's capabilities: in the parent, after clone and before any of the child's waits is
  // answered; or in the child itself (pid 0), before it enters the namespaces of an exec. Lifts hard
  // limits that are lower than the plan's; soft limits stay as they are until apply.
  static SysResult<void> from_parent(const Plan& plan, HostPid child) noexcept;
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
