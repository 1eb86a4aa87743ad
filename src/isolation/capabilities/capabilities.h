// capabilities: root's power in 41 pieces; what the container's processes hold of it.
//
// Stops:    everything that needs a capability outside of the sets (loading modules, mounting, raw
//           sockets, …); the bounding set also for whatever the container executes later.
// Does not: judge what a capability that is held is used for, nor what root can do by owning files.
// Kernel:   capset(2), Linux 2.2; bounding set 2.6.25; ambient set 4.3.
// Order:    after the identity, whose change of user id would clear the sets (it keeps the
// permitted
//           set by PR_SET_KEEPCAPS); before Landlock and seccomp. Within: the bounding set first,
//           because dropping from it needs CAP_SETPCAP; ambient last, because it needs the others.
//           Without no-new-privileges the kernel asks for CAP_SYS_ADMIN to install Landlock and
//           seccomp, and for CAP_SYS_RESOURCE to raise hard limits: these stay permitted and
//           effective until execve, which recomputes both sets from the bounding, inheritable and
//           ambient ones.
#pragma once

#include <cstdint>

#include "isolation/capabilities/names.h"
#include "isolation/layer.h"

namespace bulkhead::isolation {

struct Identity;
struct RootSwitch;
struct Sysctls;

struct CapabilityMasks {
  std::uint64_t bounding = 0;
  std::uint64_t effective = 0;
  std::uint64_t inheritable = 0;
  std::uint64_t permitted = 0;
  std::uint64_t ambient = 0;
  bool operator==(const CapabilityMasks&) const = default;
};

struct Capabilities {
  static constexpr std::string_view kName = "capabilities";
  static constexpr Card kCard{
      .stops = "what needs a capability outside of the sets, now and after any later execve",
      .does_not_stop = "misuse of a capability that is held",
      .kernel = "capset(2), Linux 2.2; prctl(PR_CAPBSET_DROP), 2.6.25; PR_CAP_AMBIENT, 4.3",
      .order = "after the change of user id, which would clear them; before Landlock and seccomp",
  };
  using After = LayerList<Identity, RootSwitch, Sysctls>;

  struct Plan {
    CapabilityMasks wanted;
    // What has to be dropped from the bounding set: of what is there, all that is not wanted.
    std::uint64_t dropped = 0;
    // In force until execve beside `wanted`: CAP_SYS_ADMIN for the filters, CAP_SYS_RESOURCE
    // for the resource limits, or nothing.
    std::uint64_t until_exec = 0;
    int last = 0;       // the kernel's last capability
    bool root = false;  // the program starts as user 0 of its user namespace
    // Names that cannot be mapped, and capabilities that cannot be granted: left out, as the
    // runtime specification says. The caller logs them.
    std::vector<std::string> warnings;
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  // What the program holds once execve has recomputed the sets (a file without capabilities).
  static CapabilityMasks after_exec(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
