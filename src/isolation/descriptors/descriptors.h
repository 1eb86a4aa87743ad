// descriptors: the program starts with standard input, output and error, and what was asked for.
//
// Stops:    a descriptor of the runtime, of its caller or of the host's file system in the hands of
//           the container (CVE-2016-9962, CVE-2024-21626), also through a path such as
//           /proc/self/fd/7/… in process.args[0].
// Does not: judge the descriptors that are kept: 0 to 2, and --preserve-fds.
// Kernel:   close_range(2), Linux 5.9.
// Order:    after every layer that opens something; before the start signal, so that a container
// that
//           waits holds nothing but the handshake's own descriptors, which close at execve.
#pragma once

#include "isolation/layer.h"

namespace bulkhead::isolation {

struct Capabilities;
struct Identity;
struct NoNewPrivileges;
struct RootSwitch;
struct Sysctls;
struct WorkingDirectory;

struct Descriptors {
  static constexpr std::string_view kName = "descriptors";
  static constexpr Card kCard{
      .stops = "descriptors of the runtime, its caller or the host in the container's hands",
      .does_not_stop = "use of the descriptors that are kept: 0 to 2 and --preserve-fds",
      .kernel = "close_range(2), Linux 5.9",
      .order = "after every layer that opens something; before the start signal",
  };
  using After =
      LayerList<RootSwitch, Sysctls, WorkingDirectory, Identity, Capabilities, NoNewPrivileges>;

  struct Plan {
    unsigned preserved = 0;  // 3 to 3 + preserved - 1 go to the program
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  // Closes everything but 0 to 2, the preserved ones, child.keep (which close at execve), and
  // child.proc, which verify reads through and closes then. child.root is closed, too.
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  // Counts or lists /proc/self/fd; the last use of child.proc, which is closed and -1 afterwards.
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
  // What verify falls back to where the kernel does not count (before 6.2); closes nothing.
  static SysResult<void> verify_by_listing(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
