#include "isolation/seccomp/profile.h"

#include <gtest/gtest.h>
#include <linux/seccomp.h>

namespace bulkhead::isolation::seccomp {
namespace {

oci::Seccomp minimal() {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.syscalls = {{{"read"}, "SCMP_ACT_ALLOW", std::nullopt, {}}};
  return profile;
}

// What the refusal of `profile` says.
std::string refusal(const oci::Seccomp& profile) {
  const auto read = read_profile(profile);
  if (read) return "accepted";
  EXPECT_EQ(read.error().kind(), ErrorKind::kInvalid);
  return read.error().message();
}

TEST(SeccompProfile, UnderstandsEveryAction) {
  const std::pair<const char*, std::uint32_t> kMeanings[] = {
      {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
      {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
      {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
      {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
      {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO | EPERM},
      {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE | EPERM},
      {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
      {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
  };
  for (const auto& [name, verdict] : kMeanings) {
    oci::Seccomp profile = minimal();
    profile.default_action = name;
    EXPECT_EQ(read_profile(profile)->default_verdict, verdict) << name;
  }
}

TEST(SeccompProfile, TakesTheErrnoThatIsGiven) {
  oci::Seccomp profile = minimal();
  profile.default_errno_ret = 38;
  profile.syscalls[0].action = "SCMP_ACT_TRACE";
  profile.syscalls[0].errno_ret = 7;
  const auto read = read_profile(profile);
  EXPECT_EQ(read->default_verdict, SECCOMP_RET_ERRNO | 38U);
  EXPECT_EQ(read->rules[0].verdict, SECCOMP_RET_TRACE | 7U);
}

TEST(SeccompProfile, RefusesAnErrnoWhereTheActionTakesNone) {
  oci::Seccomp profile = minimal();
  profile.syscalls[0].errno_ret = 1;
  EXPECT_EQ(refusal(profile), "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_ALLOW takes no errno");
  profile = minimal();
  profile.default_action = "SCMP_ACT_KILL";
  profile.default_errno_ret = 1;
  EXPECT_EQ(refusal(profile), "linux.seccomp.defaultErrnoRet: SCMP_ACT_KILL takes no errno");
}

TEST(SeccompProfile, NamesWhatItDoesNotUnderstand) {
  oci::Seccomp profile = minimal();
  profile.default_action = "SCMP_ACT_PANIC";
  EXPECT_EQ(refusal(profile), "linux.seccomp.defaultAction: \"SCMP_ACT_PANIC\" is not an action");
  profile = minimal();
  profile.syscalls[0].args = {{1, 0, 0, "SCMP_CMP_LIKE"}};
  EXPECT_EQ(refusal(profile),
            "linux.seccomp.syscalls[0].args[0].op: \"SCMP_CMP_LIKE\" is not a comparison");
  profile.syscalls[0].args = {{6, 0, 0, "SCMP_CMP_EQ"}};
  EXPECT_NE(refusal(profile).find("args[0].index"), std::string::npos);
  profile = minimal();
  profile.architectures = {"SCMP_ARCH_PDP11"};
  EXPECT_EQ(refusal(profile),
            "linux.seccomp.architectures: \"SCMP_ARCH_PDP11\" is not an architecture");
  profile = minimal();
  profile.flags = {"SECCOMP_FILTER_FLAG_FAST"};
  EXPECT_NE(refusal(profile).find("SECCOMP_FILTER_FLAG_FAST"), std::string::npos);
  profile = minimal();
  profile.syscalls[0].names.clear();
  EXPECT_NE(refusal(profile).find("syscalls[0].names"), std::string::npos);
}

TEST(SeccompProfile, SkipsAndListsUnknownNamesButNotThoseOfOtherArchitectures) {
  oci::Seccomp profile = minimal();
  profile.syscalls[0].names = {"read", "no_such_call", "s390_sthyi", "send"};
  const auto read = read_profile(profile);
  EXPECT_EQ(read->unknown_names, std::vector<std::string>{"no_such_call"});
  EXPECT_EQ(read->rules[0].calls.size(), 2U);
}

TEST(SeccompProfile, KnowsTheArchitecturesThatCannotMatchHere) {
  oci::Seccomp profile = minimal();
  profile.architectures = {"SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"};
  const auto read = read_profile(profile);
  EXPECT_EQ(read->foreign_architectures, std::vector<std::string>{"SCMP_ARCH_AARCH64"});
  EXPECT_EQ(read->abis, (std::array{true, true, false}));
}

TEST(SeccompProfile, MeansTheMachinesOwnAbiByAnEmptyList) {
  EXPECT_EQ(read_profile(minimal())->abis, (std::array{true, false, false}));
}

TEST(SeccompProfile, TakesAnArgumentComparedTwiceAsAlternatives) {
  oci::Seccomp profile = minimal();
  profile.syscalls = {{{"personality"},
                       "SCMP_ACT_ALLOW",
                       std::nullopt,
                       {{0, 0, 0, "SCMP_CMP_EQ"}, {0, 8, 0, "SCMP_CMP_EQ"}}}};
  EXPECT_EQ(read_profile(profile)->rules.size(), 2U);
}

TEST(SeccompProfile, DemandsAnAgentForNotifications) {
  oci::Seccomp profile = minimal();
  profile.syscalls[0].action = "SCMP_ACT_NOTIFY";
  EXPECT_NE(refusal(profile).find("listenerPath"), std::string::npos);
  profile.listener_path = "agent.sock";
  EXPECT_NE(refusal(profile).find("not an absolute path"), std::string::npos);
  profile.listener_path = "/run/agent.sock";
  profile.flags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  const auto read = read_profile(profile);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->notifies);
  EXPECT_EQ(read->flags, SECCOMP_FILTER_FLAG_NEW_LISTENER | 1U << 5);
}

TEST(SeccompProfile, RefusesMetadataWithoutAnAgent) {
  oci::Seccomp profile = minimal();
  profile.listener_metadata = "for whom?";
  EXPECT_NE(refusal(profile).find("listenerMetadata"), std::string::npos);
}

TEST(SeccompProfile, SaysThatAFlagForAgentsHasNoEffectWithoutOne) {
  oci::Seccomp profile = minimal();
  profile.flags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  const auto read = read_profile(profile);
  EXPECT_EQ(read->flags, static_cast<std::uint32_t>(SECCOMP_FILTER_FLAG_LOG));
  EXPECT_EQ(read->remarks.size(), 1U);
}

}  // namespace
}  // namespace bulkhead::isolation::seccomp
