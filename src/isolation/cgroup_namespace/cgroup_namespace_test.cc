#include "isolation/cgroup_namespace/cgroup_namespace.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::TestChild;

std::uint64_t own_number() {
  struct stat status{};
  return ::stat("/proc/self/ns/cgroup", &status) == 0 ? status.st_ino : 0;
}

NamespacePlan plan_of(NamespaceWish wish, std::string path = {}) {
  NamespacePlan plan;
  plan.wish = wish;
  plan.type = oci::NamespaceType::kCgroup;
  plan.path = std::move(path);
  plan.host = own_number();
  return plan;
}

TEST(CgroupNamespace, IsMadeWhenTheSpecListsItAndOpenOtherwise) {
  HostFacts host;
  host.namespaces[static_cast<std::size_t>(oci::NamespaceType::kCgroup)] = 1;
  oci::Spec spec;
  const auto shared = CgroupNamespace::describe(Request{.spec = spec}, host);
  ASSERT_TRUE(shared);
  EXPECT_EQ(CgroupNamespace::explain(*shared).standing, Standing::kOpened);
  spec.linux_.namespaces = {{oci::NamespaceType::kCgroup, ""}};
  const auto made = CgroupNamespace::describe(Request{.spec = spec}, host);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->wish, NamespaceWish::kNew);
  host.namespaces = {};
  EXPECT_FALSE(CgroupNamespace::describe(Request{.spec = spec}, host)) << "a kernel without";
}

TEST(CgroupNamespace, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  const NamespacePlan plan = plan_of(NamespaceWish::kNew);
  EXPECT_TRUE(testing::in_child([&] {
    TestChild child;
    return CgroupNamespace::apply(plan, child) && CgroupNamespace::verify(plan, child);
  }));
}

TEST(CgroupNamespace, VerifyNoticesThatApplyNeverRan) {
  const NamespacePlan plan = plan_of(NamespaceWish::kNew);
  EXPECT_TRUE(testing::in_child([&] {
    TestChild child;
    return !CgroupNamespace::verify(plan, child);
  }));
}

TEST(CgroupNamespace, VerifyNoticesThatTheGroupWasJoinedAfterwards) {
  SKIP_UNLESS_ROOT();
  // In any hierarchy: the first that is mounted in the usual place.
  std::string group;
  for (const char* mount : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup", "/sys/fs/cgroup/pids"})
    if (group.empty() && ::access((std::string(mount) + "/cgroup.procs").c_str(), W_OK) == 0)
      group = std::string(mount) + "/bulkhead-test-" + std::to_string(::getpid());
  if (group.empty() || ::mkdir(group.c_str(), 0755) != 0) GTEST_SKIP() << "no cgroup hierarchy";
  const NamespacePlan plan = plan_of(NamespaceWish::kNew);
  EXPECT_TRUE(testing::in_child([&] {
    TestChild child;
    if (!CgroupNamespace::apply(plan, child)) testing::could_not_prepare("apply");
    if (!write_file_at(AT_FDCWD, (group + "/cgroup.procs").c_str(), "0"))
      testing::could_not_prepare("joining");
    return !CgroupNamespace::verify(plan, child);
  }));
  EXPECT_EQ(::rmdir(group.c_str()), 0);
}

TEST(CgroupNamespace, FailsClosedWhenTheKernelRefuses) {
  const NamespacePlan plan = plan_of(NamespaceWish::kNew);
  EXPECT_TRUE(testing::in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_unshare, EPERM);
    return !CgroupNamespace::apply(plan, child);
  }));
  const NamespacePlan joining = plan_of(NamespaceWish::kPath, "/proc/self/ns/cgroup");
  EXPECT_TRUE(testing::in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_setns, EPERM);
    return !CgroupNamespace::apply(joining, child);
  }));
}

TEST(CgroupNamespace, JoinsByPathAndVerifiesWhichOne) {
  SKIP_UNLESS_ROOT();
  // The namespace of a sibling that made one.
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t sibling = ::fork();
  ASSERT_GE(sibling, 0);
  if (sibling == 0) {
    if (::unshare(CLONE_NEWCGROUP) != 0) ::_exit(1);
    if (::write(ready[1], "", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const NamespacePlan plan =
      plan_of(NamespaceWish::kPath, "/proc/" + std::to_string(sibling) + "/ns/cgroup");
  EXPECT_TRUE(testing::in_child([&] {
    TestChild child;
    return CgroupNamespace::apply(plan, child) && CgroupNamespace::verify(plan, child);
  }));
  EXPECT_TRUE(testing::in_child([&] {
    TestChild child;
    if (!CgroupNamespace::apply(plan, child) || ::unshare(CLONE_NEWCGROUP) != 0)
      testing::could_not_prepare("joining");
    return !CgroupNamespace::verify(plan, child);
  })) << "another one than the path's";
  ::kill(sibling, SIGKILL);
  ::waitpid(sibling, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace bulkhead::isolation
