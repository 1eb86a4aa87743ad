#include "isolation/keyring/keyring.h"

#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bulkhead::isolation {

Result<SessionKeyring::Plan> SessionKeyring::describe(const Request& request,
                                                      const HostFacts& host) {
  Plan plan;
  plan.enabled = request.new_session_keyring;
  plan.host = host.session_keyring;
  plan.kernel_has_keyrings = host.session_keyring != 0;
  return plan;
}

Explanation SessionKeyring::explain(const Plan& plan) {
  Explanation explanation;
  if (!plan.enabled) {
    explanation.standing = Standing::kOpened;
    explanation.reason = "--no-new-keyring: the runtime's session keyring is kept";
  } else if (!plan.kernel_has_keyrings) {
    explanation.standing = Standing::kNotApplicable;
    explanation.reason = "the kernel, or a filter around this process, offers no keyrings";
  } else {
    explanation.facts.push_back(
        {"keyring", "new and empty", "without a name, so that none is shared"});
  }
  return explanation;
}

SysResult<void> SessionKeyring::apply(const Plan& plan, ChildContext&) noexcept {
  if (!plan.enabled || !plan.kernel_has_keyrings) return {};
  // No name: a keyring by name could be one that another container has made.
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0)
    return sys_fail("keyctl(KEYCTL_JOIN_SESSION_KEYRING)");
  return {};
}

SysResult<void> SessionKeyring::verify(const Plan& plan, ChildContext&) noexcept {
  if (!plan.enabled) return {};
  const long serial = ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
  if (!plan.kernel_has_keyrings)
    return serial < 0 ? SysResult<void>{}
                      : not_held("there are keyrings, and the runtime's is still in use");
  if (serial < 0) return sys_fail("keyctl(KEYCTL_GET_KEYRING_ID)");
  if (serial == plan.host) return not_held("the session keyring is still the runtime's");
  return {};
}

}  // namespace bulkhead::isolation
