// session keyring: keys and tickets that the kernel keeps for a login session.
//
// Stops:    reading and using the keys in the session keyring of whoever started the runtime.
// Does not: separate the keyrings of a user id: processes with the same host id share their user
//           keyring, in different containers too. A user namespace with ids of its own separates
//           those, and seccomp refuses the calls by default.
// Kernel:   keyctl(KEYCTL_JOIN_SESSION_KEYRING), Linux 2.6.10.
// Order:    after the user namespace, whose root is to own the keyring; before the LSM label and
//           before seccomp.
#pragma once

#include "isolation/layer.h"

namespace bulkhead::isolation {

struct UserNamespace;

struct SessionKeyring {
  static constexpr std::string_view kName = "session keyring";
  static constexpr Card kCard{
      .stops = "using the keys in the session keyring of whoever started the runtime",
      .does_not_stop = "sharing the user keyring with processes of the same host id",
      .kernel = "keyctl(KEYCTL_JOIN_SESSION_KEYRING), Linux 2.6.10",
      .order = "after the user namespace, whose root owns the keyring; before seccomp",
  };
  using After = LayerList<UserNamespace>;

  struct Plan {
    bool enabled = false;
    bool kernel_has_keyrings = true;
    std::int32_t host = 0;  // serial number of the runtime's session keyring
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
