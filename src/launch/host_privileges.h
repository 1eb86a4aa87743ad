// What only the host's capabilities can do for a process that is, or will be, in a user namespace:
// raising hard limits, a lower oom score, real-time policies.
#pragma once

#include "launch/plan.h"

namespace bulkhead::launch {

// By the parent, for the child that it has cloned; or by the child of an exec for itself (pid 0),
// before it enters the container's namespaces. Does nothing that a layer can do by itself.
template <class Sequence>
SysResult<void> use_host_privileges(const Plan<Sequence>& plan, HostPid process) noexcept {
  using isolation::OomScore, isolation::Rlimits, isolation::Scheduling;
  if (plan.template has<Rlimits>())
    TRY(Rlimits::from_parent(plan.template get<Rlimits>(), process));
  if (plan.template has<OomScore>())
    TRY(OomScore::from_parent(plan.template get<OomScore>(), process));
  if (plan.template has<Scheduling>())
    TRY(Scheduling::from_parent(plan.template get<Scheduling>(), process));
  return {};
}

// What an exec does by itself before it leaves the host: the above, and the CPUs until then. What is
// set here is inherited by fork.
template <class Sequence>
SysResult<void> prepare_to_join(const Plan<Sequence>& plan) noexcept {
  using isolation::Scheduling;
  constexpr HostPid kThisProcess{0};
  if (plan.template has<Scheduling>())
    TRY(Scheduling::apply_initial_cpus(plan.template get<Scheduling>()));
  return use_host_privileges(plan, kThisProcess);
}

}  // namespace bulkhead::launch
