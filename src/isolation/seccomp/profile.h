// A seccomp profile with its words understood: what describe makes of the specification's strings,
// and the meaning that the compiled filter must have.
//
// Which rule decides, when several name the same call (the rules of libseccomp, which every profile
// in the field is written for):
//   1. A rule whose action is the default action is as good as absent.
//   2. A rule without conditions decides alone; of several such rules, the first.
//   3. Otherwise the first rule whose conditions all hold, in order of precedence: rules are
//   compared
//      condition by condition, in the order of argument numbers; the one on the later argument goes
//      first, then equality before "less" before "greater", then the narrower bound (for equality,
//      the larger value); a rule that is the beginning of another goes before it.
//      Two rules with equal conditions and different actions contradict each other: an error.
//   4. Otherwise the default action.
// A rule that compares one argument several times means "or": each comparison with it is a rule of
// its own, as in crun and runc, because old profiles list alternatives in that way. Comparisons of
// different arguments in a rule mean "and".
//
// Two exceptions, both so that programs fall back to what they know instead of failing:
//   5. A call newer than every call that the profile names (by number, and newer than Linux 4.18)
//      gets ENOSYS instead of a default action that denies.
//   6. clone3, unless named, gets ENOSYS where a rule looks at clone's flags: clone3 keeps its
//   flags
//      behind a pointer. C libraries then use clone.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "isolation/seccomp/syscall_table.h"
#include "oci/spec.h"

namespace bulkhead::isolation::seccomp {

enum class Operator : std::uint8_t {
  kNotEqual,
  kLess,
  kLessOrEqual,
  kEqual,
  kGreaterOrEqual,
  kGreater,
  kMaskedEqual,
};

struct Condition {
  std::uint8_t argument = 0;  // 0 to 5
  Operator op = Operator::kEqual;
  std::uint64_t value = 0;
  std::uint64_t mask = ~0ULL;  // of kMaskedEqual; `value` lies within it
  bool operator==(const Condition&) const = default;
};

struct Rule {
  std::uint32_t verdict = 0;          // what the filter returns: SECCOMP_RET_* and its data
  std::vector<Condition> conditions;  // all must hold; in the order of arguments; may be empty
  std::vector<const SyscallRow*> calls;
};

struct Profile {
  std::uint32_t default_verdict = 0;
  std::array<bool, kAbiCount> abis{};  // which the profile allows at all
  std::vector<Rule> rules;
  std::uint32_t flags = 0;  // SECCOMP_FILTER_FLAG_*
  bool notifies = false;
  std::vector<std::string> foreign_architectures;  // listed, and can never match on this kernel
  std::vector<std::string> unknown_names;
  std::vector<std::string> remarks;  // what in the profile has no effect, in sentences
};

// Errors name the field ("linux.seccomp.syscalls[3].action").
Result<Profile> read_profile(const oci::Seccomp& profile);

// What happens to a call by an ABI that the profile leaves out. Killing the whole process leaves no
// second thread to try again; libseccomp kills the thread.
inline constexpr std::uint32_t kForeignAbiVerdict = 0x8000'0000U;  // SECCOMP_RET_KILL_PROCESS

// "errno 1 (EPERM)", "allow", "kill the process": for people.
std::string verdict_text(std::uint32_t verdict);
// Whether the call is made nevertheless (ALLOW, LOG), or may be (TRACE, NOTIFY).
bool verdict_denies(std::uint32_t verdict);

}  // namespace bulkhead::isolation::seccomp
