#include "isolation/uts/uts.h"

#include <sys/utsname.h>
#include <unistd.h>

#include "base/text.h"

namespace bulkhead::isolation {
namespace {

// A name goes into prompts, logs and files of programs inside: printable characters only.
Result<void> check_name(std::string_view name, std::string_view where) {
  constexpr std::size_t kLongest = 64;  // __NEW_UTS_LEN
  if (name.size() > kLongest)
    return fail(ErrorKind::kInvalid,
                std::string(where) + ": " + quoted(name) + " is longer than 64 bytes",
                "the kernel keeps at most 64 bytes");
  for (const char byte : name)
    if (byte <= ' ' || byte > '~')
      return fail(
          ErrorKind::kInvalid,
          std::string(where) + ": " + quoted(name) + " holds a byte that is no printable ASCII",
          "use letters, digits, '.' and '-'");
  return {};
}

}  // namespace

Result<UtsNamespace::Plan> UtsNamespace::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  TRY_ASSIGN(static_cast<NamespacePlan&>(plan),
             plan_namespace(oci::NamespaceType::kUts, request, host));
  TRY(check_name(request.spec.hostname, "/hostname"));
  TRY(check_name(request.spec.domainname, "/domainname"));
  const bool named = !request.spec.hostname.empty() || !request.spec.domainname.empty();
  if (named && !plan.own())
    return fail(
        ErrorKind::kInvalid,
        "/hostname and /domainname need a uts namespace: without one they would rename the host",
        "add {\"type\": \"uts\"} to /linux/namespaces, or leave the names out");
  if (plan.wish == NamespaceWish::kInside) return plan;
  plan.hostname = request.spec.hostname;
  plan.domainname = request.spec.domainname;
  return plan;
}

Explanation UtsNamespace::explain(const Plan& plan) {
  Explanation explanation = explain_namespace(plan, "the container sees the host's name");
  if (!plan.hostname.empty()) explanation.facts.push_back({"hostname", quoted(plan.hostname), ""});
  if (!plan.domainname.empty())
    explanation.facts.push_back({"domainname", quoted(plan.domainname), ""});
  return explanation;
}

SysResult<void> UtsNamespace::apply(const Plan& plan, ChildContext& child) noexcept {
  TRY(enter_namespace(plan, child));
  if (!plan.hostname.empty() && ::sethostname(plan.hostname.data(), plan.hostname.size()) != 0)
    return sys_fail("sethostname", plan.hostname.c_str());
  if (!plan.domainname.empty() &&
      ::setdomainname(plan.domainname.data(), plan.domainname.size()) != 0)
    return sys_fail("setdomainname", plan.domainname.c_str());
  return {};
}

SysResult<void> UtsNamespace::verify(const Plan& plan, ChildContext& child) noexcept {
  TRY(verify_namespace(plan, child));
  if (plan.hostname.empty() && plan.domainname.empty()) return {};
  struct utsname names{};
  if (::uname(&names) != 0) return sys_fail("uname");
  if (!plan.hostname.empty() && plan.hostname != static_cast<const char*>(names.nodename))
    return not_held("the host name is another", plan.hostname.c_str());
  if (!plan.domainname.empty() && plan.domainname != static_cast<const char*>(names.domainname))
    return not_held("the domain name is another", plan.domainname.c_str());
  return {};
}

}  // namespace bulkhead::isolation
