#include "isolation/seccomp/profile_file.h"

#include <gtest/gtest.h>

#include "isolation/seccomp/profile.h"

namespace bulkhead::isolation::seccomp {
namespace {

const std::vector<std::string> kNone;
const std::vector<std::string> kAdmin = {"CAP_SYS_ADMIN"};

Result<oci::Seccomp> read(std::string_view rules, const std::vector<std::string>& granted = kNone) {
  const std::string text = R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS",
      "archMap": [{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
                  {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
      "syscalls": [)" + std::string(rules) +
                           "]}";
  return read_profile_file(text, {granted, 6, 1});
}

TEST(SeccompProfileFile, TakesTheArchitecturesOfThisMachine) {
  const auto profile = read("");
  ASSERT_TRUE(profile) << profile.error().message();
  EXPECT_EQ(profile->architectures,
            (std::vector<std::string>{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"}));
  EXPECT_EQ(profile->default_errno_ret, 38U);
}

TEST(SeccompProfileFile, TiesRulesToCapabilities) {
  constexpr std::string_view kRules =
      R"({"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
         {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM", "args": null,
          "excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}})";
  const auto without = read(kRules);
  ASSERT_EQ(without->syscalls.size(), 1U);
  EXPECT_EQ(without->syscalls[0].action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(without->syscalls[0].errno_ret, 1U);
  const auto with = read(kRules, kAdmin);
  ASSERT_EQ(with->syscalls.size(), 1U);
  EXPECT_EQ(with->syscalls[0].action, "SCMP_ACT_ALLOW");
}

TEST(SeccompProfileFile, TiesRulesToArchitecturesAndKernels) {
  const auto profile = read(
      R"({"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
         {"names": ["write"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
         {"names": ["open"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.2"}},
         {"names": ["close"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.1"}},
         {"names": ["dup"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}})");
  ASSERT_EQ(profile->syscalls.size(), 2U);
  EXPECT_EQ(profile->syscalls[0].names[0], "close");
  EXPECT_EQ(profile->syscalls[1].names[0], "dup");
}

TEST(SeccompProfileFile, RefusesNamesThatNoArchitectureHas) {
  const auto profile = read(R"({"names": ["read", "raed"], "action": "SCMP_ACT_ALLOW"})");
  ASSERT_FALSE(profile);
  EXPECT_NE(profile.error().message().find("\"raed\""), std::string::npos);
}

TEST(SeccompProfileFile, RefusesFieldsThatItDoesNotKnow) {
  const auto profile = read(R"({"names": ["read"], "action": "SCMP_ACT_ALLOW", "arg": []})");
  ASSERT_FALSE(profile);
  EXPECT_NE(profile.error().message().find("/syscalls/0/arg"), std::string::npos);
}

TEST(SeccompProfileFile, RefusesWhatIsNotJsonOrNotAProfile) {
  EXPECT_FALSE(read_profile_file("{", {kNone, 6, 1}));
  EXPECT_FALSE(read_profile_file("[]", {kNone, 6, 1}));
  EXPECT_FALSE(read_profile_file(R"({"syscalls": []})", {kNone, 6, 1}));
  EXPECT_FALSE(read(R"({"names": ["read"], "action": "SCMP_ACT_ERRNO", "errno": "EWHAT"})"));
  EXPECT_FALSE(
      read(R"({"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "new"}})"));
}

TEST(SeccompProfileFile, ReadsTheOldFormWithOneNamePerRule) {
  const auto profile = read(R"({"name": "read", "action": "SCMP_ACT_ALLOW", "args": []})");
  ASSERT_TRUE(profile) << profile.error().message();
  EXPECT_EQ(profile->syscalls[0].names, std::vector<std::string>{"read"});
}

}  // namespace
}  // namespace bulkhead::isolation::seccomp
