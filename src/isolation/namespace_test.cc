#include "isolation/namespace.h"

#include <gtest/gtest.h>

#include <csignal>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using oci::NamespaceType;
using testing::in_child;
using testing::TestChild;

HostFacts with_all_namespaces() {
  HostFacts host;
  host.namespaces.fill(4026531840);
  return host;
}

Result<NamespacePlan> plan_of(const oci::Spec& spec, NamespaceType type,
                              const HostFacts& host = with_all_namespaces()) {
  return plan_namespace(type, {.spec = spec}, host);
}

TEST(Namespaces, AreSharedUnlessListed) {
  const auto plan = plan_of({}, NamespaceType::kIpc);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->wish, NamespaceWish::kShared);
  const Explanation explanation = explain_namespace(*plan, "it sees everything");
  EXPECT_EQ(explanation.standing, Standing::kOpened);
  EXPECT_EQ(explanation.reason, "the spec lists no ipc namespace: it sees everything");
}

TEST(Namespaces, AreNewWithoutAPathAndJoinedWithOne) {
  oci::Spec spec;
  spec.linux_.namespaces = {{NamespaceType::kIpc, ""}, {NamespaceType::kUts, "/proc/1/ns/uts"}};
  EXPECT_EQ(plan_of(spec, NamespaceType::kIpc)->wish, NamespaceWish::kNew);
  const auto joined = plan_of(spec, NamespaceType::kUts);
  EXPECT_EQ(joined->wish, NamespaceWish::kPath);
  EXPECT_EQ(joined->path, "/proc/1/ns/uts");
}

TEST(Namespaces, AreInsideForAnExec) {
  oci::Spec spec;
  spec.linux_.namespaces = {{NamespaceType::kIpc, ""}};
  Request request{.spec = spec};
  request.joining = true;
  EXPECT_EQ(plan_namespace(NamespaceType::kIpc, request, with_all_namespaces())->wish,
            NamespaceWish::kInside);
}

TEST(Namespaces, RefuseATypeThatIsListedTwice) {
  oci::Spec spec;
  spec.linux_.namespaces = {{NamespaceType::kIpc, ""}, {NamespaceType::kIpc, "/proc/1/ns/ipc"}};
  const auto plan = plan_of(spec, NamespaceType::kIpc);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().message(), "/linux/namespaces/1: a second ipc namespace");
}

TEST(Namespaces, RefuseARelativePath) {
  oci::Spec spec;
  spec.linux_.namespaces = {{NamespaceType::kNetwork, "netns/blue"}};
  const auto plan = plan_of(spec, NamespaceType::kNetwork);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().message(), "/linux/namespaces/0/path: \"netns/blue\" is not absolute");
  EXPECT_EQ(plan.error().hint(), "give a path such as /proc/PID/ns/net");
}

TEST(Namespaces, RefuseWhatTheKernelLacks) {
  oci::Spec spec;
  spec.linux_.namespaces = {{NamespaceType::kTime, ""}};
  const auto plan = plan_of(spec, NamespaceType::kTime, HostFacts{});
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind(), ErrorKind::kUnsupported);
}

TEST(Namespaces, ArePathsOfTheRightTypeOrNothing) {
  SKIP_UNLESS_ROOT();
  NamespacePlan plan;
  plan.wish = NamespaceWish::kPath;
  plan.type = NamespaceType::kIpc;
  plan.path = "/proc/self/ns/uts";
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const auto entered = enter_namespace(plan, child);
    return !entered && entered.error().error == EINVAL;
  }));
}

TEST(Namespaces, JoinedByPathAreVerifiedAgainstThePath) {
  SKIP_UNLESS_ROOT();
  NamespacePlan plan;
  plan.wish = NamespaceWish::kPath;
  plan.type = NamespaceType::kUts;
  plan.path = "/proc/" + std::to_string(::getpid()) + "/ns/uts";
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    // Elsewhere first, so that joining is something.
    if (::unshare(CLONE_NEWUTS) != 0) testing::could_not_prepare("unshare");
    if (verify_namespace(plan, child)) return false;
    return enter_namespace(plan, child) && verify_namespace(plan, child);
  }));
}

TEST(Namespaces, ThatLaunchHasEnteredAreNotMadeAgain) {
  NamespacePlan plan;
  plan.wish = NamespaceWish::kNew;
  plan.type = NamespaceType::kUts;
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    child.context.joined = CLONE_NEWUTS;
    testing::kernel_refuses(SYS_unshare, EPERM);
    return static_cast<bool>(enter_namespace(plan, child));
  }));
}

TEST(HostFacts, AreTheKernels) {
  const auto facts = gather_host_facts();
  ASSERT_TRUE(facts) << facts.error().message();
  EXPECT_EQ(facts->euid, ::geteuid());
  EXPECT_GE(facts->kernel_major, 4);
  EXPECT_GE(facts->last_capability, 37);
  EXPECT_NE(facts->namespace_number(NamespaceType::kMount), 0U);
  char link[64] = {};
  ASSERT_GT(::readlink("/proc/self/ns/net", link, sizeof link - 1), 0);
  EXPECT_EQ("net:[" + std::to_string(facts->namespace_number(NamespaceType::kNetwork)) + "]", link);
}

TEST(HostFacts, NoticeWhichSignalsAreIgnored) {
  EXPECT_TRUE(testing::in_child([] {
    for (int number = 1; number < 32; ++number) ::signal(number, SIG_DFL);
    ::signal(SIGHUP, SIG_IGN);
    ::signal(SIGSYS, SIG_IGN);
    const auto facts = gather_host_facts();
    return facts && facts->ignored_signals == (1U << (SIGHUP - 1) | 1U << (SIGSYS - 1));
  }));
}

TEST(HostFacts, NoticeAnOuterUserNamespace) {
  EXPECT_TRUE(testing::in_child_as_root_of_user_namespace([] {
    const auto facts = gather_host_facts();
    return facts && !facts->in_initial_user_namespace && !facts->privileged() &&
           facts->has_capability(21);
  }));
  if (testing::running_as_root()) {
    EXPECT_TRUE(gather_host_facts()->in_initial_user_namespace);
  }
}

}  // namespace
}  // namespace bulkhead::isolation
