#include "isolation/seccomp/reference.h"

#include <linux/audit.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "isolation/seccomp/decisions.h"

namespace bulkhead::isolation::seccomp {
namespace {

constexpr std::uint32_t kNotImplementedVerdict = SECCOMP_RET_ERRNO | ENOSYS;

bool holds(const Condition& condition, std::uint64_t argument) {
  switch (condition.op) {
    case Operator::kNotEqual: return argument != condition.value;
    case Operator::kLess: return argument < condition.value;
    case Operator::kLessOrEqual: return argument <= condition.value;
    case Operator::kEqual: return argument == condition.value;
    case Operator::kGreaterOrEqual: return argument >= condition.value;
    case Operator::kGreater: return argument > condition.value;
    case Operator::kMaskedEqual: return (argument & condition.mask) == condition.value;
  }
  return false;
}

// How a rule concerns a call: by one of its names, or by what stands behind socketcall and ipc.
struct Concern {
  std::vector<Condition> conditions;
  std::uint32_t verdict = 0;
  bool behind_door = false;
};

std::vector<Concern> concerns_of(const Profile& profile, const Rule& rule, Abi abi, int number) {
  std::vector<Concern> concerns;
  const auto conditions = seen_by(rule.conditions, has_narrow_arguments(abi));
  for (const SyscallRow* call : rule.calls) {
    if (call->number(abi) == number) concerns.push_back({conditions, rule.verdict, false});
    if (abi == Abi::kI386 && number != 0 && call->i386_door.number == number &&
        (conditions.empty() ||
         (verdict_denies(rule.verdict) && !verdict_denies(profile.default_verdict))))
      concerns.push_back(
          {{{0, Operator::kEqual, call->i386_door.call, ~0ULL}}, rule.verdict, true});
  }
  return concerns;
}

bool names(const Profile& profile, const SyscallRow* call) {
  return std::ranges::any_of(profile.rules, [&](const Rule& rule) {
    return std::ranges::find(rule.calls, call) != rule.calls.end();
  });
}

// Whether a rule that means something puts conditions on clone, and none names clone3.
bool hides_clone3(const Profile& profile, Abi abi) {
  const SyscallRow* clone = find_syscall("clone");
  bool conditional = false;
  for (const Rule& rule : profile.rules) {
    if (rule.verdict == profile.default_verdict) continue;
    for (const Concern& concern : concerns_of(profile, rule, abi, clone->number(abi))) {
      if (concern.conditions.empty()) return false;
      conditional = true;
    }
  }
  return conditional && !names(profile, find_syscall("clone3"));
}

bool newer_than_profile(const Profile& profile, Abi abi, int number) {
  const auto old_x32 = [&](int n) { return abi == Abi::kX32 && n >= 512 && n < number_limit(abi); };
  if (number <= last_old_number(abi) || old_x32(number)) return false;
  for (const Rule& rule : profile.rules)
    for (const SyscallRow* call : rule.calls)
      if (call->number(abi) >= number && !old_x32(call->number(abi))) return false;
  return true;
}

}  // namespace

std::uint32_t evaluate(const Profile& profile, const seccomp_data& call) {
  Abi abi = Abi::kX86_64;
  int number = call.nr;
  if (call.arch == AUDIT_ARCH_I386) {
    abi = Abi::kI386;
  } else if (call.arch != AUDIT_ARCH_X86_64) {
    return kForeignAbiVerdict;
  } else if (number != -1 && (static_cast<std::uint32_t>(number) & ~0U) >= kX32Bit) {
    abi = Abi::kX32;
    number = static_cast<int>(static_cast<std::uint32_t>(number) - kX32Bit);
  }
  if (!profile.abis[index_of(abi)]) return kForeignAbiVerdict;
  const bool denies = verdict_denies(profile.default_verdict);
  if (number < 0 || number >= number_limit(abi))
    return denies ? kNotImplementedVerdict : profile.default_verdict;

  std::optional<Concern> best;
  for (const Rule& rule : profile.rules) {
    if (rule.verdict == profile.default_verdict) continue;
    for (const Concern& concern : concerns_of(profile, rule, abi, number)) {
      if (concern.conditions.empty()) return concern.verdict;
      const bool all_hold =
          std::ranges::all_of(concern.conditions, [&](const Condition& condition) {
            const std::uint64_t argument = call.args[condition.argument];
            return holds(condition, has_narrow_arguments(abi) ? argument & 0xFFFF'FFFFU : argument);
          });
      if (!all_hold) continue;
      if (!best || precedes(concern.conditions, best->conditions) ||
          (concern.conditions == best->conditions && best->behind_door && !concern.behind_door))
        best = concern;
    }
  }
  if (best) return best->verdict;
  if (find_syscall("clone3")->number(abi) == number && hides_clone3(profile, abi))
    return kNotImplementedVerdict;
  return denies && newer_than_profile(profile, abi, number) ? kNotImplementedVerdict
                                                            : profile.default_verdict;
}

}  // namespace bulkhead::isolation::seccomp
