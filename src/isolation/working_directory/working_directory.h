// working directory: where the program starts; inside the container, beyond doubt.
//
// Stops:    a working directory that lies outside of the container's root, reached through a
//           descriptor that leaked (cwd "/proc/self/fd/7": CVE-2024-21626) or another process's
//           /proc/PID/root or /proc/PID/cwd: such links are never followed.
// Does not: judge the directory's permissions: as with other runtimes the container's root enters
//           it, so that a program of another user may start in a directory that it could not enter.
// Kernel:   openat2(2) RESOLVE_NO_MAGICLINKS, Linux 5.6; getcwd(2).
// Order:    after the root is switched, for the path is the container's; before the identity,
// because
//           a missing directory is made as the container's root.
#pragma once

#include "isolation/layer.h"

namespace bulkhead::isolation {

struct RootSwitch;

struct WorkingDirectory {
  static constexpr std::string_view kName = "working directory";
  static constexpr Card kCard{
      .stops = "a working directory outside of the container's root (CVE-2024-21626)",
      .does_not_stop = "starting in a directory that the program's user could not enter",
      .kernel = "openat2(RESOLVE_NO_MAGICLINKS), Linux 5.6; getcwd(2)",
      .order =
          "after the root is switched; before the identity, for a missing directory is made by "
          "root",
  };
  using After = LayerList<RootSwitch>;  // Identity's list names this layer

  struct Plan {
    std::string path;  // absolute, in the container; empty: there is no process
    // A container's own is made; a process that enters one finds it there, or has mistyped it.
    bool make_if_missing = true;
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  // getcwd(2) answers "(unreachable)…" for a directory outside of the root.
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
