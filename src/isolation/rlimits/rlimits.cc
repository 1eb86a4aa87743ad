#include "isolation/rlimits/rlimits.h"

#include <array>

#include "base/text.h"
#include "isolation/namespace.h"

namespace bulkhead::isolation {
namespace {

constexpr int kCapSysResource = 24;

struct Name {
  const char* name;
  int resource;
};
constexpr std::array<Name, 16> kNames{{
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
}};

std::string in_words(std::uint64_t value) {
  return value == RLIM64_INFINITY ? "unlimited" : std::to_string(value);
}

SysResult<void> set_limit(HostPid process, const Rlimits::Limit& limit,
                          const struct rlimit64& value) noexcept {
  const auto resource = static_cast<__rlimit_resource>(limit.resource);
  if (::prlimit64(process.value(), resource, &value, nullptr) == 0) return {};
  return sys_fail(
      errno == EPERM ? "prlimit (raising a hard limit needs CAP_SYS_RESOURCE)" : "prlimit",
      limit.name);
}

SysResult<struct rlimit64> get_limit(HostPid process, const Rlimits::Limit& limit) noexcept {
  struct rlimit64 value{};
  const auto resource = static_cast<__rlimit_resource>(limit.resource);
  if (::prlimit64(process.value(), resource, nullptr, &value) != 0)
    return sys_fail("prlimit", limit.name);
  return value;
}

constexpr HostPid kThisProcess{0};

}  // namespace

Result<Rlimits::Plan> Rlimits::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  if (!request.spec.process) return plan;
  plan.raised_by_parent = lists_namespace(request, oci::NamespaceType::kUser) &&
                          host.in_initial_user_namespace && host.has_capability(kCapSysResource);
  std::size_t index = 0;
  for (const oci::Rlimit& wish : request.spec.process->rlimits) {
    const std::string where = "/process/rlimits/" + std::to_string(index++);
    Limit limit;
    for (const Name& known : kNames)
      if (wish.type == known.name) limit = {known.resource, known.name, {wish.soft, wish.hard}};
    if (*limit.name == '\0')
      return fail(ErrorKind::kInvalid, where + "/type: no resource limit " + quoted(wish.type),
                  "names are as in prlimit(2): RLIMIT_NOFILE, RLIMIT_NPROC, …");
    if (wish.soft > wish.hard)
      return fail(ErrorKind::kInvalid,
                  where + ": the soft limit " + in_words(wish.soft) + " of " + wish.type +
                      " is above the hard limit " + in_words(wish.hard),
                  "lower the soft limit or raise the hard one");
    for (const Limit& other : plan.limits)
      if (other.resource == limit.resource)
        return fail(ErrorKind::kInvalid, where + ": a second " + wish.type, "give each limit once");
    plan.limits.push_back(limit);
  }
  return plan;
}

Explanation Rlimits::explain(const Plan& plan) {
  Explanation explanation;
  if (plan.limits.empty()) {
    explanation.standing = Standing::kNotApplicable;
    explanation.reason = "none asked for: the runtime's own are inherited";
  }
  for (const Limit& limit : plan.limits)
    explanation.facts.push_back(
        {limit.name,
         "soft " + in_words(limit.value.rlim_cur) + ", hard " + in_words(limit.value.rlim_max),
         ""});
  return explanation;
}

SysResult<void> Rlimits::from_parent(const Plan& plan, HostPid child) noexcept {
  if (!plan.raised_by_parent) return {};
  for (const Limit& limit : plan.limits) {
    TRY_ASSIGN(struct rlimit64 value, get_limit(child, limit));
    if (value.rlim_max >= limit.value.rlim_max) continue;
    value.rlim_max = limit.value.rlim_max;
    TRY(set_limit(child, limit, value));
  }
  return {};
}

SysResult<void> Rlimits::apply(const Plan& plan, ChildContext&) noexcept {
  for (const Limit& limit : plan.limits) TRY(set_limit(kThisProcess, limit, limit.value));
  return {};
}

SysResult<void> Rlimits::verify(const Plan& plan, ChildContext&) noexcept {
  for (const Limit& limit : plan.limits) {
    TRY_ASSIGN(const struct rlimit64 value, get_limit(kThisProcess, limit));
    if (value.rlim_cur != limit.value.rlim_cur || value.rlim_max != limit.value.rlim_max)
      return not_held("the limit is another", limit.name);
  }
  return {};
}

}  // namespace bulkhead::isolation
