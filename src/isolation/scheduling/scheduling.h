// scheduling: policy, nice value and real-time parameters, io priority, the memory policy, and the CPUs
// of an exec.
//
// Stops:    a container running at a priority that was inherited from the runtime and not chosen.
// Does not: limit CPU time (a real-time policy can starve the host; the cpu cgroup limits it).
// Kernel:   sched_setattr(2), Linux 3.14; ioprio_set(2), 2.6.13; sched_setaffinity(2), 2.5.8;
//           set_mempolicy(2), 2.6.7.
// Order:    after the cgroup, whose cpuset resets the affinity when a process moves in; before the
//           identity, because real-time policies and negative nice values need CAP_SYS_NICE. In a
//           user namespace that capability does not count: there the parent sets them
//           (from_parent).
#pragma once

#include <sched.h>

#include <optional>

#include "base/id.h"
#include "isolation/layer.h"
#include "isolation/scheduling/memory_policy.h"

namespace bulkhead::isolation {

struct UserNamespace;
struct CgroupLimits;

struct Scheduling {
  static constexpr std::string_view kName = "scheduling";
  static constexpr Card kCard{
      .stops = "running at a priority that was inherited rather than chosen",
      .does_not_stop = "using all of the CPU time that the cgroup allows",
      .kernel =
          "sched_setattr(2), Linux 3.14; ioprio_set(2); sched_setaffinity(2); set_mempolicy(2)",
      .order =
          "after the cgroup, whose cpuset resets the affinity; before the identity is given up",
  };
  using After = LayerList<UserNamespace, CgroupLimits>;

  struct Policy {
    std::uint32_t policy = 0;  // SCHED_*
    std::uint64_t flags = 0;   // SCHED_FLAG_*
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 0;  // nanoseconds
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;
  };
  struct Plan {
    bool sets_policy = false;
    Policy policy;
    bool sets_io_priority = false;
    int io_priority = 0;  // class and level, as ioprio_set takes them
    std::optional<MemoryPolicy> memory_policy;
    // Only for exec: the CPUs before and after the move into the container's cgroup.
    bool sets_initial_cpus = false;
    bool sets_final_cpus = false;
    cpu_set_t initial_cpus{};
    cpu_set_t final_cpus{};
    bool affinity_without_exec =
        false;  // stands in the spec of a container, where it has no meaning
    bool set_by_parent = false;
    std::vector<Fact> facts;  // for explain
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  // With the host's capabilities: in the parent, after clone and before any of the child's waits is
  // answered; or in the child itself (pid 0), before it enters the namespaces of an exec.
  static SysResult<void> from_parent(const Plan& plan, HostPid child) noexcept;
  // In the child of an exec, before it moves into the container's cgroup.
  static SysResult<void> apply_initial_cpus(const Plan& plan) noexcept;
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

// "0-3,7" as a set; nothing when it is not in that form, is empty, or names a CPU above 1023.
std::optional<cpu_set_t> parse_cpu_list(std::string_view text);

}  // namespace bulkhead::isolation
