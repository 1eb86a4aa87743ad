#include "isolation/seccomp/seccomp.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>

#include <csignal>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

HostFacts host() {
  HostFacts facts;
  facts.kernel_major = 6;
  facts.kernel_minor = 1;
  return facts;
}

oci::Spec spec_with(oci::Seccomp profile) {
  oci::Spec spec;
  spec.linux_.seccomp = std::move(profile);
  return spec;
}

Result<Seccomp::Plan> plan_of(const oci::Spec& spec) {
  return Seccomp::describe(Request{.spec = spec}, host());
}

// Denies getppid alone.
oci::Seccomp without_getppid(const char* action = "SCMP_ACT_ERRNO") {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  profile.syscalls = {{{"getppid"}, action, std::nullopt, {}}};
  return profile;
}

TEST(Seccomp, HoldsAfterApply) {
  const auto plan = *plan_of(spec_with(without_getppid()));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return Seccomp::apply(plan, child) && Seccomp::verify(plan, child);
  }));
}

TEST(Seccomp, DeniesWhatTheProfileDenies) {
  const auto plan = *plan_of(spec_with(without_getppid()));
  EXPECT_TRUE(in_child([&] { return ::syscall(SYS_getppid) > 0; })) << "positive control";
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    if (!Seccomp::apply(plan, child)) return false;
    return ::syscall(SYS_getppid) == -1 && errno == EPERM;
  }));
}

TEST(Seccomp, VerifyNoticesThatApplyNeverRan) {
  const auto plan = *plan_of(spec_with(without_getppid()));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !Seccomp::verify(plan, child);
  }));
}

TEST(Seccomp, FailsClosedWhenTheKernelRefuses) {
  const auto plan = *plan_of(spec_with(without_getppid()));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_seccomp, EPERM);
    const auto applied = Seccomp::apply(plan, child);
    return !applied && applied.error().error == EPERM;
  }));
}

// A child that applies the plan, tells so, and waits to be killed.
class WaitingChild {
 public:
  explicit WaitingChild(const Seccomp::Plan* plan) {
    int ready[2];
    if (::pipe(ready) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      TestChild child;
      const bool good = plan == nullptr || Seccomp::apply(*plan, child).has_value();
      (void)!::write(ready[1], good ? "y" : "n", 1);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char answer = 'n';
    ready_ = ::read(ready[0], &answer, 1) == 1 && answer == 'y';
    ::close(ready[0]);
  }
  ~WaitingChild() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  void die() const {
    ::kill(pid_, SIGKILL);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  HostPid pid() const { return HostPid(pid_); }
  bool ready() const { return ready_; }

 private:
  pid_t pid_ = -1;
  bool ready_ = false;
};

TEST(Seccomp, TheParentSeesTheFilterInTheChildsStatusEvenWhenItIsDead) {
  const auto plan = *plan_of(spec_with(without_getppid()));
  const WaitingChild child(&plan);
  ASSERT_TRUE(child.ready());
  EXPECT_TRUE(Seccomp::verify_in_parent(plan, child.pid()));
  child.die();
  EXPECT_TRUE(Seccomp::verify_in_parent(plan, child.pid()));
}

TEST(Seccomp, TheParentNoticesThatApplyNeverRan) {
  const auto plan = *plan_of(spec_with(without_getppid()));
  const WaitingChild child(nullptr);
  EXPECT_FALSE(Seccomp::verify_in_parent(plan, child.pid()));
}

TEST(Seccomp, TheParentDoesNotTakeItsOwnFilterForTheChilds) {
  const auto plan = *plan_of(spec_with(without_getppid()));
  EXPECT_TRUE(in_child([&] {
    testing::kernel_refuses(SYS_acct, EPERM);  // any filter, inherited by the child
    const WaitingChild without(nullptr);
    const WaitingChild with(&plan);
    return !Seccomp::verify_in_parent(plan, without.pid()) &&
           Seccomp::verify_in_parent(plan, with.pid());
  }));
}

TEST(Seccomp, TheParentReadsTheStatusOfAProcessWithThousandsOfGroups) {
  SKIP_UNLESS_ROOT();
  const auto plan = *plan_of(spec_with(without_getppid()));
  EXPECT_TRUE(in_child([&] {
    std::vector<gid_t> groups(20'000);
    for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<gid_t>(100'000 + i);
    if (::setgroups(groups.size(), groups.data()) != 0) testing::could_not_prepare("setgroups");
    const WaitingChild child(&plan);
    return Seccomp::verify_in_parent(plan, child.pid());
  }));
}

TEST(Seccomp, DoesNothingWithoutAProfile) {
  const auto plan = *plan_of(oci::Spec{});
  EXPECT_FALSE(plan.enabled);
  EXPECT_EQ(Seccomp::explain(plan).standing, Standing::kOpened);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return Seccomp::apply(plan, child) && Seccomp::verify(plan, child) &&
           ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0;
  }));
}

TEST(Seccomp, RefusesNotificationsThatTheKernelCannotGive) {
  oci::Seccomp profile = without_getppid("SCMP_ACT_NOTIFY");
  profile.listener_path = "/run/agent.sock";
  profile.flags = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  const oci::Spec spec = spec_with(profile);
  HostFacts old = host();
  old.kernel_major = 5;
  old.kernel_minor = 10;
  const auto plan = Seccomp::describe(Request{.spec = spec}, old);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind(), ErrorKind::kUnsupported);
}

TEST(Seccomp, ExplainsTheProfileInWords) {
  const auto explanation = Seccomp::explain(*plan_of(spec_with(without_getppid())));
  EXPECT_EQ(explanation.standing, Standing::kApplied);
  bool tells_of_io_uring = false;
  for (const Fact& fact : explanation.facts)
    if (fact.name == "io_uring")
      tells_of_io_uring = fact.value == "open: io_uring_enter, io_uring_register, io_uring_setup";
  EXPECT_TRUE(tells_of_io_uring);
}

}  // namespace
}  // namespace bulkhead::isolation
