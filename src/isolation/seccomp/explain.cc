#include <algorithm>
#include <array>

#include "isolation/seccomp/default_profile.h"
#include "isolation/seccomp/seccomp.h"

namespace bulkhead::isolation {
namespace {

using seccomp::Abi;
using seccomp::Decision;
using seccomp::Decisions;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string architectures_text(const Decisions& decisions) {
  constexpr std::string_view kNames[] = {"x86_64", "i386 (32-bit)", "x32"};
  std::string text;
  for (const Abi abi : seccomp::kAbis)
    if (decisions.abis[index_of(abi)].present)
      text.append(text.empty() ? "" : ", ").append(kNames[index_of(abi)]);
  return text;
}

// How the profile treats one call by its own number: denied, open, or as its arguments say.
enum class Treatment { kDenied, kByArguments, kOpen };

Treatment treatment_of(const Decision& decision) {
  bool denies = seccomp::verdict_denies(decision.verdict);
  bool opens = !denies;
  for (const seccomp::Case& one : decision.cases)
    (seccomp::verdict_denies(one.verdict) ? denies : opens) = true;
  if (denies && opens) return Treatment::kByArguments;
  return opens ? Treatment::kOpen : Treatment::kDenied;
}

Fact group_fact(const Decisions& decisions, const seccomp::DeniedGroup& group) {
  std::array<std::vector<std::string>, 3> names;
  for (const std::string_view name : group.calls) {
    const seccomp::SyscallRow* row = seccomp::find_syscall(name);
    Treatment worst = Treatment::kDenied;
    for (const Abi abi : seccomp::kAbis)
      if (decisions.abis[index_of(abi)].present && row->number(abi) >= 0)
        worst = std::max(worst, treatment_of(decisions.of(abi, row->number(abi))));
    names[static_cast<std::size_t>(worst)].emplace_back(name);
  }
  const auto& [denied, by_arguments, open] = names;
  std::string value;
  if (open.empty() && by_arguments.empty()) {
    value = "denied";
  } else {
    if (!open.empty()) value = "open: " + joined(open);
    if (!by_arguments.empty())
      value += (value.empty() ? "" : "; ") + ("by arguments: " + joined(by_arguments));
    if (!denied.empty()) value += "; denied: " + joined(denied);
  }
  return {std::string(group.title), std::move(value), std::string(group.reason)};
}

void explain_newer(const Decisions& decisions, std::vector<Fact>& facts) {
  const auto& table = decisions.abis[index_of(Abi::kX86_64)];
  if (table.beyond == seccomp::kNotImplemented)
    facts.push_back({"newer calls",
                     "errno 38 (" + std::string("Function not implemented") + ") above number " +
                         std::to_string(table.last_known),
                     "newer than the profile: programs then fall back to older calls"});
  if (table.clone3_hidden)
    facts.push_back({"clone3", "errno 38 (Function not implemented)",
                     "the profile judges clone by its flags, and clone3 hides them behind a "
                     "pointer; programs fall back to clone"});
}

}  // namespace

Explanation Seccomp::explain(const Plan& plan) {
  Explanation explanation;
  if (!plan.enabled) {
    explanation.standing = Standing::kOpened;
    explanation.reason = "no profile was asked for: every system call of the kernel can be made";
    return explanation;
  }
  auto& facts = explanation.facts;
  const Decisions& decisions = plan.decisions;
  facts.push_back({"default action", seccomp::verdict_text(decisions.all[0].verdict), ""});
  facts.push_back({"architectures", architectures_text(decisions),
                   "a call by any other ABI kills the process"});
  explain_newer(decisions, facts);
  for (const seccomp::DeniedGroup& group : seccomp::denied_groups())
    facts.push_back(group_fact(decisions, group));
  if (plan.notifies)
    facts.push_back(
        {"agent", plan.listener_path, "decides about the calls marked SCMP_ACT_NOTIFY"});
  if (!plan.foreign_architectures.empty())
    facts.push_back({"architectures without effect", joined(plan.foreign_architectures),
                     "an x86-64 kernel never runs them"});
  if (!plan.unknown_names.empty())
    facts.push_back({"unknown calls, skipped", joined(plan.unknown_names),
                     "this build does not know these names"});
  for (const std::string& remark : plan.remarks) facts.push_back({"remark", remark, ""});
  facts.push_back({"filter", std::to_string(plan.program.size()) + " instructions",
                   "installed as the last act before the program is executed"});
  return explanation;
}

}  // namespace bulkhead::isolation
