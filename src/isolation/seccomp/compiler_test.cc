#include "isolation/seccomp/compiler.h"

#include <gtest/gtest.h>
#include <linux/audit.h>

#include <random>

#include "isolation/seccomp/bpf_interpreter.h"
#include "isolation/seccomp/reference.h"
#include "isolation/seccomp/testing.h"

namespace bulkhead::isolation::seccomp {
namespace {

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr std::uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;

oci::Seccomp deny_by_default(std::vector<oci::SeccompRule> rules) {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.architectures = {"SCMP_ARCH_X86_64"};
  profile.syscalls = std::move(rules);
  return profile;
}

oci::SeccompRule allow(std::vector<std::string> names,
                       std::vector<oci::SeccompArgument> args = {}) {
  return {std::move(names), "SCMP_ACT_ALLOW", std::nullopt, std::move(args)};
}

// The compiled filter's verdict.
class Filter {
 public:
  explicit Filter(const oci::Seccomp& file) {
    auto read = read_profile(file);
    EXPECT_TRUE(read) << (read ? "" : read.error().message());
    auto decisions = decide(*read);
    EXPECT_TRUE(decisions) << (decisions ? "" : decisions.error().message());
    program = *compile(*decisions);
  }
  std::uint32_t operator()(Abi abi, std::string_view name,
                           std::array<std::uint64_t, 6> arguments = {}) const {
    return *interpret(program, testing::call_of(abi, find_syscall(name)->number(abi), arguments));
  }
  std::uint32_t operator()(std::string_view name,
                           std::array<std::uint64_t, 6> arguments = {}) const {
    return (*this)(Abi::kX86_64, name, arguments);
  }
  std::vector<sock_filter> program;
};

TEST(SeccompCompiler, AllowsWhatTheProfileNamesAndDeniesTheRest) {
  const Filter filter(deny_by_default({allow({"read", "write"})}));
  EXPECT_EQ(filter("read"), kAllow);
  EXPECT_EQ(filter("write"), kAllow);
  EXPECT_EQ(filter("open"), kEperm);
}

TEST(SeccompCompiler, AnswersEnosysToCallsNewerThanTheProfile) {
  const Filter filter(deny_by_default({allow({"read", "faccessat2"})}));
  EXPECT_EQ(filter("rseq"), kEperm);
  EXPECT_EQ(filter("openat2"), kEperm);
  EXPECT_EQ(filter("epoll_pwait2"), kEnosys);
  EXPECT_EQ(filter("mseal"), kEnosys);
}

TEST(SeccompCompiler, KnowsAllOldCallsEvenInATinyProfile) {
  const Filter filter(deny_by_default({allow({"read"})}));
  EXPECT_EQ(filter("unshare"), kEperm);
  EXPECT_EQ(filter("io_uring_setup"), kEnosys);
}

TEST(SeccompCompiler, LeavesNewerCallsToADefaultActionThatAllows) {
  oci::Seccomp profile = deny_by_default({{{"read"}, "SCMP_ACT_ERRNO", 5, {}}});
  profile.default_action = "SCMP_ACT_ALLOW";
  const Filter filter(profile);
  EXPECT_EQ(filter("mseal"), kAllow);
  EXPECT_EQ(filter("read"), SECCOMP_RET_ERRNO | 5);
}

TEST(SeccompCompiler, HidesClone3WhereClonesFlagsAreFiltered) {
  const oci::SeccompArgument no_new_user{0, 0x10000000, 0, "SCMP_CMP_MASKED_EQ"};
  const Filter filter(deny_by_default({allow({"clone"}, {no_new_user}), allow({"openat2"})}));
  EXPECT_EQ(filter("clone", {0}), kAllow);
  EXPECT_EQ(filter("clone", {0x10000000}), kEperm);
  EXPECT_EQ(filter("clone3"), kEnosys);
}

TEST(SeccompCompiler, HidesClone3AlsoWhereTheDefaultActionAllows) {
  oci::Seccomp profile = deny_by_default(
      {{{"clone"}, "SCMP_ACT_ERRNO", 1, {{0, 0x10000000, 0x10000000, "SCMP_CMP_MASKED_EQ"}}}});
  profile.default_action = "SCMP_ACT_ALLOW";
  const Filter filter(profile);
  EXPECT_EQ(filter("clone", {0}), kAllow);
  EXPECT_EQ(filter("clone", {0x10000011}), kEperm);
  EXPECT_EQ(filter("clone3"), kEnosys);
}

TEST(SeccompCompiler, LeavesClone3ToARuleThatNamesIt) {
  const Filter filter(deny_by_default(
      {allow({"clone"}, {{0, 0x10000000, 0, "SCMP_CMP_MASKED_EQ"}}), allow({"clone3"})}));
  EXPECT_EQ(filter("clone3"), kAllow);
}

TEST(SeccompCompiler, KillsCallsByAbisThatTheProfileLeavesOut) {
  const Filter filter(deny_by_default({allow({"read", "getpid"})}));
  EXPECT_EQ(filter(Abi::kI386, "getpid"), kForeignAbiVerdict);
  EXPECT_EQ(filter(Abi::kX32, "read"), kForeignAbiVerdict);
  seccomp_data arm{};
  arm.arch = AUDIT_ARCH_AARCH64;
  EXPECT_EQ(interpret(filter.program, arm), kForeignAbiVerdict);
}

TEST(SeccompCompiler, DoesNotTakeA32BitNumberForA64BitOne) {
  // Number 1 is write for x86_64 and exit for i386; 41 is socket and dup.
  oci::Seccomp profile = deny_by_default({allow({"write", "dup"})});
  profile.architectures.emplace_back("SCMP_ARCH_X86");
  const Filter filter(profile);
  EXPECT_EQ(filter(Abi::kI386, "exit"), kEperm);
  EXPECT_EQ(filter(Abi::kI386, "write"), kAllow);
  EXPECT_EQ(filter("socket"), kEperm);
  EXPECT_EQ(filter(Abi::kI386, "dup"), kAllow);
}

TEST(SeccompCompiler, LetsATracerSkipACall) {
  const Filter filter(deny_by_default({allow({"read"})}));
  EXPECT_EQ(interpret(filter.program, testing::call_of(Abi::kX86_64, -1)), kEnosys);
}

TEST(SeccompCompiler, ComparesAll64BitsOfAnArgument) {
  const Filter filter(deny_by_default({allow({"socket"}, {{0, 2, 0, "SCMP_CMP_EQ"}})}));
  EXPECT_EQ(filter("socket", {2}), kAllow);
  EXPECT_EQ(filter("socket", {0x1'0000'0002}), kEperm);
}

TEST(SeccompCompiler, ClosesSocketcallWhereTheFamilyIsFiltered) {
  oci::Seccomp profile =
      deny_by_default({allow({"socket"}, {{0, 1, 0, "SCMP_CMP_EQ"}}), allow({"connect"})});
  profile.architectures.emplace_back("SCMP_ARCH_X86");
  const Filter filter(profile);
  EXPECT_EQ(filter(Abi::kI386, "socket", {1}), kAllow);
  EXPECT_EQ(filter(Abi::kI386, "socketcall", {1}), kEperm);  // SYS_SOCKET
  EXPECT_EQ(filter(Abi::kI386, "socketcall", {3}), kAllow);  // SYS_CONNECT
}

TEST(SeccompCompiler, DeniesSocketcallAtAllWhereAFamilyIsDenied) {
  oci::Seccomp profile =
      deny_by_default({{{"socket"}, "SCMP_ACT_ERRNO", 97, {{0, 38, 0, "SCMP_CMP_EQ"}}}});
  profile.default_action = "SCMP_ACT_ALLOW";
  profile.architectures.emplace_back("SCMP_ARCH_X86");
  const Filter filter(profile);
  EXPECT_EQ(filter(Abi::kI386, "socketcall", {1}), SECCOMP_RET_ERRNO | 97);
  EXPECT_EQ(filter(Abi::kI386, "socketcall", {2}), kAllow);
}

TEST(SeccompCompiler, RefusesAProfileThatIsTooLargeForTheKernel) {
  std::vector<oci::SeccompRule> rules;
  for (std::uint64_t i = 0; i < 1500; ++i)
    rules.push_back(allow({"ioctl"}, {{1, i * 3 << 32 | i, 0, "SCMP_CMP_EQ"}}));
  const auto decisions = decide(*read_profile(deny_by_default(std::move(rules))));
  const auto program = compile(*decisions);
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().kind(), ErrorKind::kUnsupported);
  EXPECT_NE(program.error().message().find("4096"), std::string::npos);
}

TEST(SeccompCompiler, RefusesRulesThatContradictEachOther) {
  const auto decisions = decide(*read_profile(
      deny_by_default({allow({"ioctl"}, {{1, 7, 0, "SCMP_CMP_EQ"}}),
                       {{"ioctl"}, "SCMP_ACT_TRAP", std::nullopt, {{1, 7, 0, "SCMP_CMP_EQ"}}}})));
  ASSERT_FALSE(decisions);
  EXPECT_NE(decisions.error().message().find("ioctl"), std::string::npos);
}

TEST(SeccompCompiler, SaysWhatTheRulesSayForRandomProfiles) {
  std::mt19937_64 random(20240601);
  auto draw = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
  testing::ProfileMaker maker(draw);
  std::size_t compared = 0;
  for (int round = 0; round < 300; ++round) {
    const oci::Seccomp file = maker.make();
    const auto profile = read_profile(file);
    ASSERT_TRUE(profile) << profile.error().message();
    const auto decisions = decide(*profile);
    if (!decisions) continue;
    const auto program = compile(*decisions);
    ASSERT_TRUE(program) << program.error().message();
    testing::visit_calls(
        *profile,
        [&](const seccomp_data& call) {
          ++compared;
          const auto verdict = interpret(*program, call);
          if (verdict == evaluate(*profile, call)) return;
          ADD_FAILURE() << "round " << round << " number " << call.nr << " arch " << std::hex
                        << call.arch << " arguments " << call.args[0] << ' ' << call.args[1] << ' '
                        << call.args[2] << ": filter " << verdict.value_or(0xBAD) << ", rules "
                        << evaluate(*profile, call);
        },
        round % 16, 16);
    if (HasFailure()) return;
  }
  EXPECT_GT(compared, 100'000U);
}

}  // namespace
}  // namespace bulkhead::isolation::seccomp
