// personality: which execution domain uname(2) and a few other calls pretend.
//
// Stops:    nothing; it lets 32-bit programs see a 32-bit machine. It stands here because a
// container
//           must not inherit flags such as ADDR_NO_RANDOMIZE from whoever started the runtime: they
//           are cleared where a domain is asked for.
// Does not: choose which system calls there are; that is seccomp.
// Kernel:   personality(2), Linux 1.1.20.
// Order:    before seccomp, whose profile may refuse the call; else free.
#pragma once

#include "isolation/layer.h"

namespace bulkhead::isolation {

struct RootSwitch;

struct PersonalityLayer {
  static constexpr std::string_view kName = "personality";
  static constexpr Card kCard{
      .stops = "inherited personality flags, where a domain is asked for",
      .does_not_stop = "any system call",
      .kernel = "personality(2)",
      .order = "before seccomp, whose profile may refuse the call",
  };
  using After = LayerList<RootSwitch>;

  struct Plan {
    bool enabled = false;
    unsigned long domain = 0;
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
