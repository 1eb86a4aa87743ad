// time namespace: the monotonic clock and the clock since boot, shifted by offsets.
//
// Stops:    telling from these clocks how long the host has been up.
// Does not: shift the wall clock: the kernel has no namespace for CLOCK_REALTIME.
// Kernel:   CLONE_NEWTIME, Linux 5.6.
// Order:    after the user namespace, whose CAP_SYS_TIME sets the offsets; they are written after
//           unshare(2), which makes the namespace for children only, and before anybody enters it.
#pragma once

#include "isolation/namespace.h"

namespace bulkhead::isolation {

struct UserNamespace;

struct TimeNamespace {
  static constexpr std::string_view kName = "time namespace";
  static constexpr Card kCard{
      .stops = "reading the host's uptime from the monotonic and boot clocks",
      .does_not_stop = "reading or (with CAP_SYS_TIME outside) setting the wall clock",
      .kernel = "unshare(CLONE_NEWTIME), Linux 5.6; setns",
      .order = "after the user namespace; the offsets before anybody enters the namespace",
  };
  using After = LayerList<UserNamespace>;

  struct Offset {
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
    bool operator==(const Offset&) const = default;
  };
  struct Plan : NamespacePlan {
    Offset monotonic;
    Offset boottime;
    // What goes into /proc/self/timens_offsets by one write; empty when both are zero.
    std::string offsets;
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
