#include "isolation/no_new_privileges/no_new_privileges.h"

#include <sys/prctl.h>

namespace bulkhead::isolation {

Result<NoNewPrivileges::Plan> NoNewPrivileges::describe(const Request& request, const HostFacts&) {
  return Plan{request.spec.process && request.spec.process->no_new_privileges};
}

Explanation NoNewPrivileges::explain(const Plan& plan) {
  Explanation explanation;
  if (plan.enabled) {
    explanation.facts.push_back({"no_new_privs", "1", ""});
  } else {
    explanation.standing = Standing::kOpened;
    explanation.reason =
        "the spec leaves process.noNewPrivileges off: setuid binaries of the image gain what the "
        "bounding set allows";
  }
  return explanation;
}

SysResult<void> NoNewPrivileges::apply(const Plan& plan, ChildContext&) noexcept {
  if (plan.enabled && ::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
    return sys_fail("prctl(PR_SET_NO_NEW_PRIVS)");
  return {};
}

SysResult<void> NoNewPrivileges::verify(const Plan& plan, ChildContext&) noexcept {
  if (!plan.enabled) return {};
  const int now = ::prctl(PR_GET_NO_NEW_PRIVS, 0UL, 0UL, 0UL, 0UL);
  if (now < 0) return sys_fail("prctl(PR_GET_NO_NEW_PRIVS)");
  if (now != 1) return not_held("no_new_privs is not set");
  return {};
}

}  // namespace bulkhead::isolation
