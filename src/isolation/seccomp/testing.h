// Profiles from a stream of numbers, for the unit tests (a seeded generator) and the fuzzer (its
// input), and the system calls to try them with. Included by tests only.
#pragma once

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "isolation/seccomp/decisions.h"
#include "oci/spec.h"

namespace bulkhead::isolation::seccomp::testing {

constexpr const char* kArchitectureNames[] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};

// `draw(n)` gives a number below n.
template <class Draw>
class ProfileMaker {
 public:
  explicit ProfileMaker(Draw& draw) : draw_(draw) {}

  oci::Seccomp make() {
    oci::Seccomp profile;
    profile.default_action = action(profile.default_errno_ret);
    for (const char* name : kArchitectureNames)
      if (draw_(4) != 0) profile.architectures.emplace_back(name);
    profile.listener_path = "/run/agent";
    const std::size_t rules = draw_(24);
    for (std::size_t i = 0; i < rules; ++i) profile.syscalls.push_back(rule());
    return profile;
  }

 private:
  std::string action(std::optional<std::uint32_t>& errno_ret) {
    static constexpr const char* kActions[] = {
        "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO",        "SCMP_ACT_ERRNO", "SCMP_ACT_KILL",
        "SCMP_ACT_TRAP",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG",   "SCMP_ACT_TRACE",
        "SCMP_ACT_ALLOW", "SCMP_ACT_KILL_THREAD",  "SCMP_ACT_NOTIFY"};
    const std::string name = kActions[draw_(std::size(kActions))];
    if ((name == "SCMP_ACT_ERRNO" || name == "SCMP_ACT_TRACE") && draw_(2) == 0)
      errno_ret = static_cast<std::uint32_t>(draw_(4) == 0 ? 38 : draw_(200));
    return name;
  }

  // Few names, so that rules meet; now and then any number of the table.
  std::string name() {
    static constexpr const char* kNames[] = {
        "clone", "clone3", "socket", "socketcall", "ipc",    "shmget",   "accept",     "send",
        "ioctl", "read",   "rseq",   "mseal",      "waitid", "pwritev2", "personality"};
    if (draw_(3) != 0) return kNames[draw_(std::size(kNames))];
    const Abi abi = kAbis[draw_(kAbiCount)];
    const auto limit = static_cast<std::size_t>(number_limit(abi));
    const std::string_view found = name_of(abi, static_cast<int>(draw_(limit)));
    return found.empty() ? "write" : std::string(found);
  }

  std::uint64_t value() {
    static constexpr std::uint64_t kValues[] = {
        0,          1,           2,           38,    0x7FFFFFFF, 0xFFFFFFFF,
        0x80000000, 0x100000000, 0x100000026, ~0ULL, 0x7E020000, 0x8000000000000000};
    return draw_(4) == 0 ? static_cast<std::uint64_t>(draw_(256)) << draw_(57)
                         : kValues[draw_(std::size(kValues))];
  }

  oci::SeccompRule rule() {
    static constexpr const char* kOperators[] = {"SCMP_CMP_NE",       "SCMP_CMP_LT", "SCMP_CMP_LE",
                                                 "SCMP_CMP_EQ",       "SCMP_CMP_GE", "SCMP_CMP_GT",
                                                 "SCMP_CMP_MASKED_EQ"};
    oci::SeccompRule rule;
    const std::size_t names = 1 + draw_(3);
    for (std::size_t i = 0; i < names; ++i) rule.names.push_back(name());
    rule.action = action(rule.errno_ret);
    const std::size_t arguments = draw_(4) == 0 ? 0 : 1 + draw_(3);
    for (std::size_t i = 0; i < arguments; ++i)
      rule.args.push_back({static_cast<std::uint32_t>(draw_(6)), value(), value(),
                           kOperators[draw_(std::size(kOperators))]});
    return rule;
  }

  Draw& draw_;
};

inline seccomp_data call_of(Abi abi, int number, std::array<std::uint64_t, 6> arguments = {}) {
  seccomp_data call{};
  call.nr =
      abi == Abi::kX32 ? static_cast<int>(static_cast<std::uint32_t>(number) + kX32Bit) : number;
  call.arch = abi == Abi::kI386 ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64;
  for (std::size_t i = 0; i < arguments.size();
       ++i)  // the kernel extends 32-bit arguments with zeros
    call.args[i] = abi == Abi::kI386 ? arguments[i] & 0xFFFF'FFFFU : arguments[i];
  return call;
}

// The values on both sides of each comparison that rules for this call make.
inline std::vector<std::uint64_t> values_around(const Profile& profile, const SyscallRow* call) {
  std::vector<std::uint64_t> values = {0, ~0ULL, 0x1'0000'0000};
  for (const Rule& rule : profile.rules) {
    if (std::ranges::find(rule.calls, call) == rule.calls.end()) continue;
    for (const Condition& condition : rule.conditions)
      for (const std::uint64_t base :
           {condition.value, condition.value | ~condition.mask, condition.value ^ 0x1'0000'0000})
        for (const std::uint64_t value : {base - 1, base, base + 1}) values.push_back(value);
  }
  std::ranges::sort(values);
  values.erase(std::ranges::unique(values).begin(), values.end());
  return values;
}

// Calls at and beside everything that the profile compares: every number of each ABI (or each
// `step`th, from `first` on), and those that are named, with arguments on both sides of each
// comparison. `visit(call)`.
template <class Visit>
void visit_calls(const Profile& profile, Visit&& visit, int first = 0, int step = 1) {
  for (const Abi abi : kAbis)
    for (int number = first - 2; number < number_limit(abi) + 2; number += step)
      visit(call_of(abi, number));
  std::vector<const SyscallRow*> calls;
  for (const Rule& rule : profile.rules)
    if (!rule.conditions.empty()) calls.insert(calls.end(), rule.calls.begin(), rule.calls.end());
  std::ranges::sort(calls);
  calls.erase(std::ranges::unique(calls).begin(), calls.end());
  for (const SyscallRow* call : calls) {
    const auto values = values_around(profile, call);
    const auto visit_with = [&](Abi abi, int number, const std::uint64_t* argument) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        for (std::size_t stride = 0; stride < 4; ++stride) {
          std::array<std::uint64_t, 6> arguments{};
          for (std::size_t j = 0; j < 6; ++j)
            arguments[j] = values[(i + j * stride) % values.size()];
          if (argument != nullptr) arguments[0] = *argument;
          visit(call_of(abi, number, arguments));
        }
      }
    };
    for (const Abi abi : kAbis)
      if (call->number(abi) >= 0) visit_with(abi, call->number(abi), nullptr);
    const std::uint64_t door = call->i386_door.call;
    if (door != 0) visit_with(Abi::kI386, call->i386_door.number, &door);
  }
  for (const int number : {-1, -2, 0x3FFFFFFF, 0x40000000, 0x7FFFFFFF, INT32_MIN}) {
    for (const auto arch :
         std::array<std::uint32_t, 3>{AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64}) {
      seccomp_data call{};
      call.nr = number;
      call.arch = arch;
      visit(call);
    }
  }
}

}  // namespace bulkhead::isolation::seccomp::testing
