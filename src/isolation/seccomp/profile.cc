#include "isolation/seccomp/profile.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "sys/error.h"

namespace bulkhead::isolation::seccomp {
namespace {

constexpr std::uint32_t kWaitKillable = 1U
                                        << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19
constexpr std::uint32_t kLargestErrno = 0xFFFF;  // the filter's data field; the kernel caps at 4095

template <class Value>
struct Named {
  std::string_view name;
  Value value;
};

template <class Value, std::size_t count>
const Named<Value>* find_named(const Named<Value> (&table)[count], std::string_view name) {
  const auto* found = std::ranges::find(table, name, &Named<Value>::name);
  return found == std::end(table) ? nullptr : found;
}

struct Action {
  std::uint32_t code;
  bool takes_errno = false;
};
constexpr Named<Action> kActions[] = {
    {"SCMP_ACT_ALLOW", {SECCOMP_RET_ALLOW}},
    {"SCMP_ACT_ERRNO", {SECCOMP_RET_ERRNO, true}},
    {"SCMP_ACT_KILL", {SECCOMP_RET_KILL_THREAD}},
    {"SCMP_ACT_KILL_THREAD", {SECCOMP_RET_KILL_THREAD}},
    {"SCMP_ACT_KILL_PROCESS", {SECCOMP_RET_KILL_PROCESS}},
    {"SCMP_ACT_TRAP", {SECCOMP_RET_TRAP}},
    {"SCMP_ACT_TRACE", {SECCOMP_RET_TRACE, true}},
    {"SCMP_ACT_LOG", {SECCOMP_RET_LOG}},
    {"SCMP_ACT_NOTIFY", {SECCOMP_RET_USER_NOTIF}},
};

constexpr Named<Operator> kOperators[] = {
    {"SCMP_CMP_EQ", Operator::kEqual},
    {"SCMP_CMP_NE", Operator::kNotEqual},
    {"SCMP_CMP_LT", Operator::kLess},
    {"SCMP_CMP_LE", Operator::kLessOrEqual},
    {"SCMP_CMP_GE", Operator::kGreaterOrEqual},
    {"SCMP_CMP_GT", Operator::kGreater},
    {"SCMP_CMP_MASKED_EQ", Operator::kMaskedEqual},
};

constexpr Named<Abi> kArchitectures[] = {
    {"SCMP_ARCH_X86_64", Abi::kX86_64},
    {"SCMP_ARCH_X86", Abi::kI386},
    {"SCMP_ARCH_X32", Abi::kX32},
};
constexpr std::string_view kForeignArchitectures[] = {
    "SCMP_ARCH_AARCH64",  "SCMP_ARCH_ARM",         "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",      "SCMP_ARCH_MIPS64N32",   "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PARISC",      "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_PPC",      "SCMP_ARCH_PPC64",       "SCMP_ARCH_PPC64LE",     "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",     "SCMP_ARCH_S390X",       "SCMP_ARCH_SH",          "SCMP_ARCH_SHEB"};

constexpr Named<std::uint32_t> kFlags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", kWaitKillable},
};

std::unexpected<Error> invalid(const std::string& where, const std::string& what,
                               std::string hint = {}) {
  return fail(ErrorKind::kInvalid, "linux.seccomp." + where + ": " + what, std::move(hint));
}

std::string rule_field(std::size_t rule, std::string_view field) {
  return "syscalls[" + std::to_string(rule) + "]." + std::string(field);
}

Result<std::uint32_t> verdict_of(const std::string& action,
                                 const std::optional<std::uint32_t>& errno_ret,
                                 const std::string& action_field, const std::string& errno_field) {
  const auto* known = find_named(kActions, action);
  if (known == nullptr)
    return invalid(action_field, quoted(action) + " is not an action",
                   "the actions are SCMP_ACT_ followed by ALLOW, ERRNO, KILL, KILL_PROCESS, "
                   "KILL_THREAD, TRAP, TRACE, LOG or NOTIFY");
  if (!known->value.takes_errno) {
    if (errno_ret)
      return invalid(errno_field, action + " takes no errno",
                     "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do; leave the field out");
    return known->value.code;
  }
  const std::uint32_t number = errno_ret.value_or(EPERM);
  if (number > kLargestErrno)
    return invalid(errno_field, std::to_string(number) + " is not an errno (at most 65535)");
  return known->value.code | number;
}

Result<Condition> condition_of(const oci::SeccompArgument& argument, const std::string& where) {
  if (argument.index > 5)
    return invalid(where + ".index",
                   "system calls have the arguments 0 to 5, not " + std::to_string(argument.index));
  const auto* op = find_named(kOperators, argument.op);
  if (op == nullptr)
    return invalid(where + ".op", quoted(argument.op) + " is not a comparison",
                   "the comparisons are SCMP_CMP_ followed by NE, LT, LE, EQ, GE, GT or MASKED_EQ");
  Condition condition{static_cast<std::uint8_t>(argument.index), op->value, argument.value, ~0ULL};
  if (condition.op == Operator::kMaskedEqual) {
    condition.mask = argument.value;
    condition.value = argument.value_two & condition.mask;
  }
  return condition;
}

// The rules that one entry of the file means: more than one where an argument is compared twice.
Result<void> add_rules(const oci::SeccompRule& entry, std::size_t number, Rule rule,
                       std::vector<Rule>& rules) {
  unsigned seen = 0;
  bool alternatives = false;
  for (std::size_t i = 0; i < entry.args.size(); ++i) {
    TRY_ASSIGN(const Condition condition,
               condition_of(entry.args[i], rule_field(number, "args[" + std::to_string(i) + "]")));
    alternatives = alternatives || (seen >> condition.argument & 1U) != 0;
    seen |= 1U << condition.argument;
    rule.conditions.push_back(condition);
  }
  if (!alternatives) {
    std::ranges::sort(rule.conditions, {}, &Condition::argument);
    rules.push_back(std::move(rule));
    return {};
  }
  for (const Condition& condition : rule.conditions)
    rules.push_back({rule.verdict, {condition}, rule.calls});
  return {};
}

Result<void> read_rules(const oci::Seccomp& file, Profile& profile) {
  profile.rules.reserve(file.syscalls.size());
  for (std::size_t i = 0; i < file.syscalls.size(); ++i) {
    const oci::SeccompRule& entry = file.syscalls[i];
    if (entry.names.empty())
      return invalid(rule_field(i, "names"), "a rule must name at least one system call");
    Rule rule;
    TRY_ASSIGN(rule.verdict, verdict_of(entry.action, entry.errno_ret, rule_field(i, "action"),
                                        rule_field(i, "errnoRet")));
    rule.calls.reserve(entry.names.size());
    for (const std::string& name : entry.names) {
      if (const SyscallRow* row = find_syscall(name))
        rule.calls.push_back(row);
      else if (!is_foreign_syscall(name))
        profile.unknown_names.push_back(name);
    }
    profile.notifies = profile.notifies || rule.verdict == SECCOMP_RET_USER_NOTIF;
    TRY(add_rules(entry, i, std::move(rule), profile.rules));
  }
  return {};
}

Result<void> read_architectures(const oci::Seccomp& file, Profile& profile) {
  for (const std::string& name : file.architectures) {
    if (const auto* known = find_named(kArchitectures, name))
      profile.abis[index_of(known->value)] = true;
    else if (std::ranges::find(kForeignArchitectures, name) != std::end(kForeignArchitectures))
      profile.foreign_architectures.push_back(name);
    else
      return invalid("architectures", quoted(name) + " is not an architecture",
                     "for this machine: SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32");
  }
  // The machine's own ABI is always in the profile, as in libseccomp: without it not even execve
  // would work. An empty list means it alone.
  profile.abis[index_of(Abi::kX86_64)] = true;
  return {};
}

Result<void> read_flags(const oci::Seccomp& file, Profile& profile) {
  for (const std::string& name : file.flags) {
    const auto* known = find_named(kFlags, name);
    if (known == nullptr)
      return invalid("flags", quoted(name) + " is not a flag",
                     "the flags are SECCOMP_FILTER_FLAG_ followed by TSYNC, LOG, SPEC_ALLOW or "
                     "WAIT_KILLABLE_RECV");
    profile.flags |= known->value;
  }
  if (profile.notifies) {
    // The kernel does not give a listener and synchronise threads in one call, and the thread that
    // hands the listener over must stay free. At that point there is nothing else to synchronise.
    if ((profile.flags & SECCOMP_FILTER_FLAG_TSYNC) != 0)
      profile.remarks.push_back("TSYNC has nothing to do: one thread executes the program");
    profile.flags &= ~static_cast<std::uint32_t>(SECCOMP_FILTER_FLAG_TSYNC);
    profile.flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  } else if ((profile.flags & kWaitKillable) != 0) {
    profile.flags &= ~kWaitKillable;
    profile.remarks.push_back("WAIT_KILLABLE_RECV has no effect: no rule says SCMP_ACT_NOTIFY");
  }
  return {};
}

Result<void> check_listener(const oci::Seccomp& file, const Profile& profile) {
  if (profile.notifies && file.listener_path.empty())
    return invalid("listenerPath", "SCMP_ACT_NOTIFY needs the socket of an agent",
                   "set listenerPath, or use another action");
  if (profile.notifies && file.listener_path.front() != '/')
    return invalid("listenerPath", quoted(file.listener_path) + " is not an absolute path");
  if (!file.listener_metadata.empty() && file.listener_path.empty())
    return invalid("listenerMetadata", "it must not be set without listenerPath");
  return {};
}

}  // namespace

Result<Profile> read_profile(const oci::Seccomp& file) {
  Profile profile;
  TRY_ASSIGN(profile.default_verdict, verdict_of(file.default_action, file.default_errno_ret,
                                                 "defaultAction", "defaultErrnoRet"));
  profile.notifies = profile.default_verdict == SECCOMP_RET_USER_NOTIF;
  TRY(read_rules(file, profile));
  TRY(read_architectures(file, profile));
  TRY(read_flags(file, profile));
  TRY(check_listener(file, profile));
  return profile;
}

std::string verdict_text(std::uint32_t verdict) {
  const std::uint32_t data = verdict & SECCOMP_RET_DATA;
  switch (verdict & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW: return "allow";
    case SECCOMP_RET_LOG: return "allow and log";
    case SECCOMP_RET_TRACE: return "ask the tracer (" + std::to_string(data) + ")";
    case SECCOMP_RET_USER_NOTIF: return "ask the agent";
    case SECCOMP_RET_TRAP: return "send SIGSYS";
    case SECCOMP_RET_KILL_THREAD: return "kill the thread";
    case SECCOMP_RET_KILL_PROCESS: return "kill the process";
    default: break;
  }
  if (data == 0) return "do nothing and report success";
  return "errno " + std::to_string(data) + " (" + errno_text(static_cast<int>(data)) + ")";
}

bool verdict_denies(std::uint32_t verdict) {
  switch (verdict & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
    case SECCOMP_RET_LOG:
    case SECCOMP_RET_TRACE:
    case SECCOMP_RET_USER_NOTIF: return false;
    default: return true;
  }
}

}  // namespace bulkhead::isolation::seccomp
