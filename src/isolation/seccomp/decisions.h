// Which rules concern each number of each ABI: a profile taken apart by number, in the order of
// precedence that profile.h lays down. What the compiler compiles and explain reads.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "isolation/seccomp/profile.h"

namespace bulkhead::isolation::seccomp {

// Conditions and what they lead to.
struct Case {
  std::vector<Condition> conditions;  // never empty; cut to 32 bits for the ABIs that are narrow
  std::uint32_t verdict = 0;
  bool operator==(const Case&) const = default;
};

struct Decision {
  std::vector<Case> cases;    // the first that holds decides
  std::uint32_t verdict = 0;  // when none does
  bool narrow = false;        // of an ABI with 32-bit arguments
  bool operator==(const Decision&) const = default;
};

struct AbiDecisions {
  bool present = false;                  // in the profile
  std::vector<std::uint16_t> by_number;  // index into Decisions::all
  std::uint16_t beyond = 0;              // of all larger numbers
  // The largest number that the profile knows; larger ones get `beyond`.
  int last_known = 0;
  bool clone3_hidden = false;  // rule 6 of profile.h applied
};

struct Decisions {
  std::vector<Decision> all;  // 0: the default action; 1: ENOSYS; 2: of an ABI that is left out
  std::array<AbiDecisions, kAbiCount> abis;

  const Decision& of(Abi abi, int number) const;
};

inline constexpr std::uint16_t kDefaultDecision = 0;
inline constexpr std::uint16_t kNotImplemented = 1;
inline constexpr std::uint16_t kForeignAbi = 2;

// Fails when rules contradict each other.
Result<Decisions> decide(const Profile& profile);

// Whether a rule with the conditions `a` goes before one with `b` (rule 3 of profile.h).
bool precedes(const std::vector<Condition>& a, const std::vector<Condition>& b);

// i386 and x32 pass 32 bits; what x32 programs leave in the upper half of a register is no part of
// the argument, and libseccomp does not look at it either.
constexpr bool has_narrow_arguments(Abi abi) { return abi != Abi::kX86_64; }

// Conditions as an ABI with 32-bit arguments sees them; always-true ones are left out.
std::vector<Condition> seen_by(const std::vector<Condition>& conditions, bool narrow);

}  // namespace bulkhead::isolation::seccomp
