// identity: the user and group ids, supplementary groups and umask of the program.
//
// Stops:    acting as whoever started the runtime: files, signals and quotas are judged by these
//           ids; supplementary groups of the caller (docker, disk, …) are dropped.
// Does not: take root's capabilities from user 0; and user 0 is the host's root unless a user
//           namespace maps it elsewhere.
// Kernel:   setresuid(2), setresgid(2), setgroups(2), Linux 2.1.44; PR_SET_KEEPCAPS, 2.2.18.
// Order:    after everything that needs root's ids; before the capabilities, which it keeps
// permitted
//           over the change (PR_SET_KEEPCAPS, cleared by execve). Groups before the user:
//           afterwards CAP_SETGID is not effective any more.
#pragma once

#include <sys/types.h>

#include "isolation/layer.h"

namespace bulkhead::isolation {

struct LsmLabel;
struct OomScore;
struct RootSwitch;
struct Scheduling;
struct SessionKeyring;
struct Sysctls;
struct UserNamespace;
struct WorkingDirectory;

struct Identity {
  static constexpr std::string_view kName = "identity";
  static constexpr Card kCard{
      .stops = "acting with the ids and groups of whoever started the runtime",
      .does_not_stop =
          "user 0's capabilities; and without a user namespace user 0 is the host's root",
      .kernel = "setresuid(2), setresgid(2), setgroups(2), Linux 2.1.44",
      .order = "after all that needs root's ids; before the capabilities, kept by PR_SET_KEEPCAPS",
  };
  using After = LayerList<UserNamespace, RootSwitch, Sysctls, SessionKeyring, OomScore, Scheduling,
                          LsmLabel, WorkingDirectory>;

  struct Plan {
    uid_t uid = 0;  // as the container sees them
    gid_t gid = 0;
    std::vector<gid_t> groups;  // sorted, each once
    // Not where the user namespace forbids setgroups(2): there the caller's groups stay, unmapped.
    bool sets_groups = true;
    mode_t umask = 0022;
    std::string uid_text;  // subjects of errors
    std::string gid_text;
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
