#include "isolation/seccomp/decisions.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>

namespace bulkhead::isolation::seccomp {
namespace {

// x32's numbers from 512 on are not newer than the others: all of them are in Linux 4.18.
constexpr int kOldX32Numbers = 512;
constexpr std::uint16_t kGroupBit = 0x8000;  // while building: the number has rules with conditions

int order_of(Operator op) {
  switch (op) {
    case Operator::kEqual:
    case Operator::kNotEqual:
    case Operator::kMaskedEqual: return 0;
    case Operator::kLess:
    case Operator::kLessOrEqual: return 1;
    case Operator::kGreaterOrEqual:
    case Operator::kGreater: break;
  }
  return 2;
}

// -1: `a` goes first; 1: `b` does; 0: they are equal.
int compare(const Condition& a, const Condition& b) {
  if (a.argument != b.argument) return a.argument > b.argument ? -1 : 1;
  if (order_of(a.op) != order_of(b.op)) return order_of(a.op) < order_of(b.op) ? -1 : 1;
  if (a.value != b.value) return (a.value > b.value) != (order_of(a.op) == 1) ? -1 : 1;
  if (a.mask != b.mask) return a.mask > b.mask ? -1 : 1;
  if (a.op != b.op) return a.op < b.op ? -1 : 1;
  return 0;
}

// One rule as it concerns one number.
struct Candidate {
  std::vector<Condition> conditions;
  const Rule* rule = nullptr;
  const SyscallRow* call = nullptr;
  bool behind_door = false;  // derived for socketcall or ipc; gives way to rules that name those
};

class Builder {
 public:
  explicit Builder(const Profile& profile) : profile_(profile) {
    decisions_.all.push_back({{}, profile.default_verdict, false});
    decisions_.all.push_back({{}, SECCOMP_RET_ERRNO | ENOSYS, false});
    decisions_.all.push_back({{}, kForeignAbiVerdict, false});
  }

  Result<Decisions> build() {
    for (const Abi abi : kAbis) {
      AbiDecisions& table = decisions_.abis[index_of(abi)];
      table.present = profile_.abis[index_of(abi)];
      if (!table.present) {
        table.beyond = kForeignAbi;
        continue;
      }
      TRY(build(abi, table));
    }
    return std::move(decisions_);
  }

 private:
  Result<void> build(Abi abi, AbiDecisions& table) {
    table.by_number.assign(static_cast<std::size_t>(number_limit(abi)), kDefaultDecision);
    groups_.clear();
    const bool narrow = has_narrow_arguments(abi);
    int last_named = -1;
    for (const Rule& rule : profile_.rules) {
      const bool is_default = rule.verdict == profile_.default_verdict;
      const std::vector<Condition> conditions = seen_by(rule.conditions, narrow);
      for (const SyscallRow* call : rule.calls) {
        const int number = call->number(abi);
        if (abi != Abi::kX32 || number < kOldX32Numbers) last_named = std::max(last_named, number);
        if (is_default) continue;
        if (number >= 0) add(table, number, {conditions, &rule, call, false});
        if (abi == Abi::kI386 && call->i386_door.number != 0)
          add_door(table, rule, call, conditions);
      }
    }
    TRY(settle_groups(table, narrow));
    hide_clone3(abi, table);
    hide_newer_calls(abi, table, last_named);
    return {};
  }

  void add(AbiDecisions& table, int number, Candidate candidate) {
    std::uint16_t& slot = table.by_number[static_cast<std::size_t>(number)];
    const bool has_group = (slot & kGroupBit) != 0;
    if (slot != kDefaultDecision && !has_group) return;  // an unconditional rule has decided
    if (candidate.conditions.empty()) {
      slot = unconditional(candidate.rule->verdict);
      return;
    }
    if (!has_group) {
      slot = static_cast<std::uint16_t>(kGroupBit | groups_.size());
      groups_.emplace_back();
    }
    groups_[slot & ~kGroupBit].push_back(std::move(candidate));
  }

  // A rule for socket(2) concerns socketcall(SYS_SOCKET, ...) too. Where it has conditions, they
  // cannot be judged there, and what denies wins: the rule, or the default action.
  void add_door(AbiDecisions& table, const Rule& rule, const SyscallRow* call,
                const std::vector<Condition>& conditions) {
    if (!conditions.empty() &&
        (verdict_denies(profile_.default_verdict) || !verdict_denies(rule.verdict)))
      return;
    add(table, call->i386_door.number,
        {{{0, Operator::kEqual, call->i386_door.call, ~0ULL}}, &rule, call, true});
  }

  std::uint16_t unconditional(std::uint32_t verdict) { return index({{}, verdict, false}); }

  std::uint16_t index(Decision decision) {
    // From 3 on: the first three mean what they mean even when their verdicts are equal.
    for (std::size_t i = 3; i < decisions_.all.size(); ++i)
      if (decisions_.all[i] == decision) return static_cast<std::uint16_t>(i);
    decisions_.all.push_back(std::move(decision));
    return static_cast<std::uint16_t>(decisions_.all.size() - 1);
  }

  Result<void> settle_groups(AbiDecisions& table, bool narrow) {
    for (std::uint16_t& slot : table.by_number) {
      if ((slot & kGroupBit) == 0) continue;
      TRY_ASSIGN(slot, settle(groups_[slot & ~kGroupBit], narrow));
    }
    return {};
  }

  Result<std::uint16_t> settle(std::vector<Candidate>& group, bool narrow) {
    std::ranges::sort(group, [](const Candidate& a, const Candidate& b) {
      if (!(a.conditions == b.conditions)) return precedes(a.conditions, b.conditions);
      if (a.behind_door != b.behind_door) return b.behind_door;
      return a.rule < b.rule;  // in the order of the file
    });
    Decision decision{{}, profile_.default_verdict, narrow};
    const Candidate* before = nullptr;
    for (const Candidate& candidate : group) {
      if (before != nullptr && before->conditions == candidate.conditions) {
        if (contradict(*before, candidate))
          return fail(ErrorKind::kInvalid,
                      "linux.seccomp.syscalls: two rules for " + std::string(candidate.call->name) +
                          " have the same conditions and different actions",
                      "remove one of them");
        continue;
      }
      decision.cases.push_back({candidate.conditions, candidate.rule->verdict});
      before = &candidate;
    }
    return index(std::move(decision));
  }

  // Of two rules with equal conditions as this ABI sees them. What only looks equal when it is cut
  // to 32 bits, or is derived, gives way instead.
  static bool contradict(const Candidate& a, const Candidate& b) {
    return !a.behind_door && !b.behind_door && a.rule->verdict != b.rule->verdict &&
           a.rule->conditions == b.rule->conditions;
  }

  void hide_clone3(Abi abi, AbiDecisions& table) {
    static const SyscallRow* const clone = find_syscall("clone");
    static const SyscallRow* const clone3 = find_syscall("clone3");
    const auto slot_of = [&](const SyscallRow* row) -> std::uint16_t& {
      return table.by_number[static_cast<std::size_t>(row->number(abi))];
    };
    if (decisions_.all[slot_of(clone)].cases.empty()) return;
    for (const Rule& rule : profile_.rules)
      if (std::ranges::find(rule.calls, clone3) != rule.calls.end()) return;
    slot_of(clone3) = kNotImplemented;
    table.clone3_hidden = true;
  }

  void hide_newer_calls(Abi abi, AbiDecisions& table, int last_named) {
    table.last_known = std::max(last_named, last_old_number(abi));
    if (!verdict_denies(profile_.default_verdict)) return;
    table.beyond = kNotImplemented;
    for (auto number = static_cast<std::size_t>(table.last_known) + 1;
         number < table.by_number.size() && (abi != Abi::kX32 || number < kOldX32Numbers); ++number)
      table.by_number[number] = kNotImplemented;
  }

  const Profile& profile_;
  Decisions decisions_;
  std::vector<std::vector<Candidate>> groups_;
};

}  // namespace

bool precedes(const std::vector<Condition>& a, const std::vector<Condition>& b) {
  const std::size_t common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i)
    if (const int order = compare(a[i], b[i]); order != 0) return order < 0;
  return a.size() < b.size();
}

std::vector<Condition> seen_by(const std::vector<Condition>& conditions, bool narrow) {
  std::vector<Condition> seen;
  seen.reserve(conditions.size());
  for (Condition condition : conditions) {
    if (narrow) {
      condition.value &= 0xFFFF'FFFFU;
      if (condition.op == Operator::kMaskedEqual) condition.mask &= 0xFFFF'FFFFU;
    }
    if (condition.op == Operator::kMaskedEqual && condition.mask == 0) continue;
    seen.push_back(condition);
  }
  return seen;
}

Result<Decisions> decide(const Profile& profile) { return Builder(profile).build(); }

const Decision& Decisions::of(Abi abi, int number) const {
  const AbiDecisions& table = abis[index_of(abi)];
  const auto index = static_cast<std::size_t>(number);
  return all[number >= 0 && index < table.by_number.size() ? table.by_number[index] : table.beyond];
}

}  // namespace bulkhead::isolation::seccomp
