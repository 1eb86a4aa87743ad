#include "isolation/personality/personality.h"

#include <sys/personality.h>

#include "base/text.h"

namespace bulkhead::isolation {
namespace {

constexpr unsigned long kAsk = 0xFFFFFFFF;
// What kernels of 64-bit machines answer with.
constexpr unsigned long kSignificant = 0xFFFFFFFF;

}  // namespace

Result<PersonalityLayer::Plan> PersonalityLayer::describe(const Request& request,
                                                          const HostFacts&) {
  Plan plan;
  const auto& wish = request.spec.linux_.personality;
  if (!wish) return plan;
  if (!wish->flags.empty())
    return fail(ErrorKind::kUnsupported,
                "/linux/personality/flags/0: " + quoted(wish->flags.front()) + " is not supported",
                "the runtime specification defines no flags yet; leave the list out");
  if (wish->domain == "LINUX") {
    plan.domain = PER_LINUX;
  } else if (wish->domain == "LINUX32") {
    plan.domain = PER_LINUX32;
  } else {
    return fail(ErrorKind::kInvalid, "/linux/personality/domain: no domain " + quoted(wish->domain),
                "the domains are LINUX and LINUX32");
  }
  plan.enabled = true;
  return plan;
}

Explanation PersonalityLayer::explain(const Plan& plan) {
  Explanation explanation;
  if (!plan.enabled) {
    explanation.standing = Standing::kNotApplicable;
    explanation.reason = "not asked for";
    return explanation;
  }
  explanation.facts.push_back({"domain", plan.domain == PER_LINUX32 ? "LINUX32" : "LINUX", ""});
  return explanation;
}

SysResult<void> PersonalityLayer::apply(const Plan& plan, ChildContext&) noexcept {
  if (plan.enabled && ::personality(plan.domain) < 0) return sys_fail("personality");
  return {};
}

SysResult<void> PersonalityLayer::verify(const Plan& plan, ChildContext&) noexcept {
  if (!plan.enabled) return {};
  const int now = ::personality(kAsk);
  if (now < 0) return sys_fail("personality");
  if ((static_cast<unsigned long>(now) & kSignificant) != plan.domain)
    return not_held("the personality is another");
  return {};
}

}  // namespace bulkhead::isolation
