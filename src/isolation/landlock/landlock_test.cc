#include "isolation/landlock/landlock.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <csignal>

#include "isolation/landlock/policy.h"
#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

int kernel_abi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0UL, 1U);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

#define NEEDS_ABI(abi)      \
  if (kernel_abi() < (abi)) \
  GTEST_SKIP() << "this kernel's Landlock has ABI " << kernel_abi() << "; the test needs " << (abi)

Result<Landlock::Plan> plan_of(const std::string& annotation, int abi, bool is_default = false) {
  oci::Spec spec;
  spec.annotations["org.bulkhead.landlock"] = annotation;
  HostFacts host;
  host.landlock_abi = abi;
  return Landlock::describe(Request{.spec = spec, .defaults = {.landlock = is_default}}, host);
}
Landlock::Plan plan_here(const std::string& annotation) {
  auto plan = plan_of(annotation, kernel_abi());
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  return plan ? *std::move(plan) : Landlock::Plan{};
}

constexpr const char* kReadOnlySystem =
    R"({"mode": "best-effort", "paths": [{"path": "/usr", "access": ["read", "execute"]},
        {"path": "/dev/null", "access": ["all"]},
        {"path": "/nonexistent", "access": ["all"], "optional": true}]})";

bool apply(const Landlock::Plan& plan) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  TestChild child;
  return testing::answer_of(Landlock::apply(plan, child));
}
bool can_open(const char* path, int flags) {
  const Fd fd(::open(path, flags | O_CLOEXEC));
  return static_cast<bool>(fd);
}

TEST(Landlock, HoldsAfterApply) {
  NEEDS_ABI(1);
  const auto plan = plan_here(kReadOnlySystem);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return apply(plan) && Landlock::verify(plan, child);
  }));
}

TEST(Landlock, OpensTheListedTreesAndNothingElse) {
  NEEDS_ABI(1);
  const auto plan = plan_here(kReadOnlySystem);
  EXPECT_TRUE(can_open("/etc/passwd", O_RDONLY)) << "positive control";
  EXPECT_TRUE(in_child([&] {
    return apply(plan) && can_open("/usr/bin/env", O_RDONLY) && can_open("/dev/null", O_WRONLY) &&
           !can_open("/etc/passwd", O_RDONLY) && errno == EACCES && !can_open("/", O_RDONLY) &&
           !can_open("/usr/bin/env", O_WRONLY);
  }));
}

TEST(Landlock, VerifyNoticesThatApplyNeverRan) {
  NEEDS_ABI(1);
  for (const char* annotation :
       {kReadOnlySystem,
        R"({"mode": "best-effort", "paths": [{"path": "/", "access": ["read", "execute"]}]})",
        R"({"mode": "best-effort", "paths": [{"path": "/", "access": ["execute"]}]})"}) {
    const auto plan = plan_here(annotation);
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      return !Landlock::verify(plan, child);
    })) << annotation;
    EXPECT_TRUE(in_child([&] { return apply(plan); })) << annotation;
  }
}

TEST(Landlock, VerifyNoticesThatPortsAreOpen) {
  NEEDS_ABI(4);
  for (const char* annotation : {R"({"tcp": {"bind": [8080]}})", R"({"tcp": {"connect": []}})"}) {
    const auto plan = plan_here(annotation);
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      return !Landlock::verify(plan, child);
    })) << annotation;
    EXPECT_TRUE(in_child([&] { return apply(plan); })) << annotation;
  }
}

TEST(Landlock, ClosesPorts) {
  NEEDS_ABI(4);
  const auto plan = plan_here(R"({"tcp": {"bind": [18123]}})");
  const auto bind_to = [](std::uint16_t port) {
    const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  };
  EXPECT_TRUE(in_child([&] { return bind_to(18124); })) << "positive control";
  EXPECT_TRUE(in_child(
      [&] { return apply(plan) && bind_to(18123) && !bind_to(18124) && errno == EACCES; }));
}

TEST(Landlock, ClosesAbstractSocketsAndSignals) {
  NEEDS_ABI(6);
  const auto plan = plan_here(R"({"scopes": ["abstract-unix-sockets", "signals"]})");
  const Fd server(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "bulkhead-landlock-test-" + std::to_string(::getpid());
  std::copy(name.begin(), name.end(), address.sun_path + 1);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(server.get(), 1), 0);
  const auto reach = [&] {
    const Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size) == 0;
  };
  EXPECT_TRUE(in_child([&] { return reach() && ::kill(::getppid(), 0) == 0; }))
      << "positive control";
  EXPECT_TRUE(in_child([&] { return apply(plan) && !reach() && ::kill(::getppid(), 0) != 0; }));
}

TEST(Landlock, FailsClosedWhenTheKernelRefuses) {
  NEEDS_ABI(1);
  const auto plan = plan_here(kReadOnlySystem);
  for (const long call :
       {SYS_landlock_create_ruleset, SYS_landlock_add_rule, SYS_landlock_restrict_self})
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      testing::kernel_refuses(call, EPERM);
      return !Landlock::apply(plan, child);
    })) << call;
}

TEST(Landlock, FailsWhenAPathIsMissing) {
  NEEDS_ABI(1);
  const auto plan = plan_here(
      R"({"mode": "best-effort", "paths": [{"path": "/nonexistent", "access": ["read"]}]})");
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const auto applied = Landlock::apply(plan, child);
    return !applied && applied.error().error == ENOENT &&
           std::string_view(applied.error().subject) == "/nonexistent";
  }));
}

TEST(Landlock, RefusesWhatTheKernelCannotEnforceWhenItIsRequired) {
  const auto refused = [](const char* annotation, int abi) {
    const auto plan = plan_of(annotation, abi);
    return plan ? "accepted" : plan.error().message();
  };
  constexpr const char* kPaths = R"({"paths": [{"path": "/", "access": ["read"]}]})";
  EXPECT_EQ(refused(kPaths, 0),
            "landlock: rules for files need Linux 5.13 (ABI 1); this kernel has no Landlock");
  EXPECT_EQ(refused(kPaths, 4),
            "landlock: rules for ioctl on devices need Linux 6.10 (ABI 5); this kernel has ABI 4");
  EXPECT_EQ(refused(kPaths, 5), "accepted");
  EXPECT_EQ(refused(R"({"tcp": {"bind": []}})", 3),
            "landlock: rules for TCP ports need Linux 6.7 (ABI 4); this kernel has ABI 3");
  EXPECT_NE(refused(R"({"scopes": ["signals"]})", 5), "accepted");
}

TEST(Landlock, EnforcesWhatItCanAtBest) {
  const auto plan = plan_of(R"({"mode": "best-effort", "tcp": {"bind": [80]},
                                "paths": [{"path": "/", "access": ["write"]}]})",
                            2);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->standing, Standing::kApplied);
  EXPECT_EQ(plan->handled_access_fs, landlock::file_system_access_of(2));
  EXPECT_EQ(plan->handled_access_net, 0U);
  EXPECT_EQ(plan->paths[0].access, landlock::kWriteFile);
  EXPECT_EQ(plan->left_out.size(), 3U);
}

TEST(Landlock, IsLeftOutWithItsReasonWhereTheKernelHasNone) {
  const auto asked = plan_of(R"({"mode": "best-effort", "tcp": {"bind": []}})", 0);
  EXPECT_EQ(asked->standing, Standing::kLeftOut);
  EXPECT_NE(Landlock::explain(*asked).reason.find("no Landlock"), std::string::npos);
  // A default of bulkhead, whatever its mode.
  const auto by_default = plan_of(R"({"tcp": {"bind": []}})", 3, true);
  EXPECT_EQ(by_default->standing, Standing::kLeftOut);
}

TEST(Landlock, DoesNothingWithoutTheAnnotation) {
  const oci::Spec spec;
  const auto plan = Landlock::describe(Request{.spec = spec}, HostFacts{});
  EXPECT_EQ(plan->standing, Standing::kNotApplicable);
  EXPECT_FALSE(Landlock::explain(*plan).reason.empty());
}

TEST(LandlockPolicy, SaysWhereItIsWrong) {
  const auto refusal = [](const char* text) {
    const auto policy = landlock::parse_policy(text);
    return policy ? "accepted" : policy.error().message();
  };
  const std::pair<const char*, const char*> kCases[] = {
      {"{", "not JSON"},
      {"[]", "must be an object"},
      {"{}", "restricts nothing"},
      {R"({"path": []})", "unknown field \"path\""},
      {R"({"mode": "maybe", "scopes": ["signals"]})", "mode"},
      {R"({"paths": [{"path": "usr", "access": ["read"]}]})", "paths[0].path"},
      {R"({"paths": [{"path": "/usr", "access": ["raed"]}]})", "\"raed\" is not known"},
      {R"({"paths": [{"path": "/usr", "access": []}]})", "paths[0].access"},
      {R"({"paths": [{"path": "/usr"}]})", "paths[0].access: is required"},
      {R"({"paths": [{"path": "/usr", "access": ["read"], "optional": 1}]})", "optional"},
      {R"({"tcp": {"bind": [65536]}})", "tcp.bind"},
      {R"({"tcp": {"bind": ["http"]}})", "tcp.bind"},
      {R"({"tcp": {"listen": [80]}})", "unknown field \"listen\""},
      {R"({"scopes": ["pipes"]})", "\"pipes\" is not known"},
  };
  for (const auto& [text, what] : kCases)
    EXPECT_NE(refusal(text).find(what), std::string::npos) << text << ": " << refusal(text);
}

TEST(LandlockPolicy, ReadsTheExampleOfItsHeader) {
  const auto policy = landlock::parse_policy(
      R"({"mode": "required",
          "paths": [{"path": "/", "access": ["read", "execute"]},
                    {"path": "/data", "access": ["all"]},
                    {"path": "/run/app", "access": ["read", "write", "create"], "optional": true}],
          "tcp": {"bind": [8080], "connect": [5432]},
          "scopes": ["abstract-unix-sockets", "signals"]})");
  ASSERT_TRUE(policy) << policy.error().message();
  EXPECT_EQ(policy->paths->size(), 3U);
  EXPECT_TRUE(policy->paths->back().optional);
  EXPECT_EQ(*policy->bind, std::vector<std::uint16_t>{8080});
}

}  // namespace
}  // namespace bulkhead::isolation
