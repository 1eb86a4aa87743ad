#include "isolation/user/user.h"

#include <gtest/gtest.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

oci::Spec mapped(std::vector<oci::IdMapping> map = {
                     {0, testing::kTestHostIdBase, testing::kTestIdCount}}) {
  oci::Spec spec;
  spec.process.emplace();
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
  spec.linux_.uid_mappings = map;
  spec.linux_.gid_mappings = map;
  return spec;
}

Result<UserNamespace::Plan> describe(const oci::Spec& spec) {
  return UserNamespace::describe({.spec = spec}, *gather_host_facts());
}

TEST(UserNamespace, HoldsInAChildThatWasClonedIntoOne) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(mapped());
  EXPECT_TRUE(testing::in_child_as_root_of_user_namespace([&] {
    TestChild child;
    const auto applied = UserNamespace::apply(plan, child);
    if (!applied) return testing::answer_of(applied);
    return ::getuid() == 0 && testing::answer_of(UserNamespace::verify(plan, child));
  }));
}

TEST(UserNamespace, VerifyNoticesThatTheChildWasNotClonedIntoOne) {
  const auto plan = *describe(mapped());
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !UserNamespace::verify(plan, child);
  }));
}

TEST(UserNamespace, VerifyNoticesAnotherMap) {
  SKIP_UNLESS_ROOT();
  for (const auto& map : {std::vector<oci::IdMapping>{{0, testing::kTestHostIdBase, 1000}},
                          std::vector<oci::IdMapping>{{0, testing::kTestHostIdBase, 65536},
                                                      {65536, 800'000'000, 1}}}) {
    const auto plan = *describe(mapped(map));
    EXPECT_TRUE(testing::in_child_as_root_of_user_namespace([&] {
      TestChild child;
      return !UserNamespace::verify(plan, child);
    }));
  }
}

TEST(UserNamespace, FailsClosedWhenTheKernelRefuses) {
  const auto plan = *describe(mapped());
  for (const long call : {SYS_setresuid, SYS_setresgid})
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      testing::kernel_refuses(call, EPERM);
      return !UserNamespace::apply(plan, child);
    })) << call;
}

TEST(UserNamespace, FailsClosedWhenTheParentIsGone) {
  const auto plan = *describe(mapped());
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    child.parent.error = EPIPE;
    return !UserNamespace::apply(plan, child);
  }));
}

TEST(UserNamespace, IsJoinedByPathUnlessLaunchHasDoneIt) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(testing::in_child_as_root_of_user_namespace([&] {
    // A namespace beneath this one that somebody else holds.
    int ready[2];
    int done[2];
    char byte = 0;
    if (::pipe(ready) != 0 || ::pipe(done) != 0) testing::could_not_prepare("pipe");
    // Its maps are ours to write only while it is dumpable.
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    const pid_t holder = ::fork();
    if (holder == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      ::close(done[1]);
      if (::unshare(CLONE_NEWUSER) != 0) ::_exit(1);
      (void)!::write(ready[1], &byte, 1);
      (void)!::read(done[0], &byte, 1);
      ::_exit(0);
    }
    if (::read(ready[0], &byte, 1) != 1) testing::could_not_prepare("the holder");
    const std::string proc = "/proc/" + std::to_string(holder) + "/";
    if (!write_file_at(AT_FDCWD, (proc + "uid_map").c_str(), "0 0 10\n") ||
        !write_file_at(AT_FDCWD, (proc + "gid_map").c_str(), "0 0 10\n"))
      testing::could_not_prepare("the maps");
    oci::Spec spec = mapped({{0, 0, 10}});
    spec.linux_.namespaces[0].path = proc + "ns/user";
    const auto plan = *describe(spec);
    TestChild child;
    const auto applied = UserNamespace::apply(plan, child);
    const bool held =
        testing::answer_of(applied) && testing::answer_of(UserNamespace::verify(plan, child));
    ::close(done[1]);
    ::kill(holder, SIGKILL);
    ::waitpid(holder, nullptr, 0);
    return held;
  }));
}

TEST(UserNamespace, IsSetUpByTheProgramsUserWhereRootIsNotMapped) {
  oci::Spec spec = mapped({{1000, 700'001'000, 10}});
  spec.process->user.uid = ContainerUid(1003);
  spec.process->user.gid = ContainerGid(1004);
  const auto plan = *describe(spec);
  EXPECT_EQ(plan.setup_uid, 1003U);
  EXPECT_EQ(plan.setup_gid, 1004U);
}

TEST(UserNamespace, NeedsMappingsAndMappingsNeedIt) {
  oci::Spec spec = mapped({});
  EXPECT_FALSE(describe(spec));
  spec = mapped();
  spec.linux_.namespaces.clear();
  EXPECT_FALSE(describe(spec));
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, "/proc/1/ns/user"}};
  EXPECT_TRUE(describe(spec));
}

TEST(UserNamespace, DoesNothingWhenThereIsNone) {
  const auto plan = *describe({});
  EXPECT_EQ(UserNamespace::explain(plan).standing, Standing::kOpened);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_setresuid, EPERM);
    return UserNamespace::apply(plan, child) && UserNamespace::verify(plan, child);
  }));
}

TEST(IdMaps, AreTheOnlyBridgeBetweenIds) {
  const std::vector<oci::IdMapping> extents{{0, 100'000, 1000}, {1000, 5, 1}};
  const UidMap map(extents);
  EXPECT_EQ(map.to_host(ContainerUid(0)), HostUid(100'000));
  EXPECT_EQ(map.to_host(ContainerUid(999)), HostUid(100'999));
  EXPECT_EQ(map.to_host(ContainerUid(1000)), HostUid(5));
  EXPECT_EQ(map.to_host(ContainerUid(1001)), std::nullopt);
  EXPECT_EQ(map.to_container(HostUid(5)), ContainerUid(1000));
  EXPECT_EQ(map.to_container(HostUid(0)), std::nullopt);
}

TEST(IdMaps, AreRefusedWhereTheKernelWouldSayOnlyEinval) {
  const auto refusal = [](std::vector<oci::IdMapping> map) {
    const auto checked = check_map(map, "/m");
    return checked ? std::string() : checked.error().message();
  };
  EXPECT_EQ(refusal({{0, 100, 10}, {10, 110, 10}}), "");
  EXPECT_EQ(refusal({{0, 0, 0xFFFFFFFF}}), "");
  EXPECT_EQ(refusal({{0, 100, 0}}), "/m/0: a range of size 0");
  EXPECT_EQ(refusal({{0, 100, 10}, {9, 200, 10}}), "/m/1: overlaps with /m/0 in the container");
  EXPECT_EQ(refusal({{0, 100, 10}, {20, 109, 10}}), "/m/1: overlaps with /m/0 on the host");
  EXPECT_EQ(refusal({{0xFFFFFFFF, 0, 1}}), "/m/0: the range goes beyond the last id, 4294967294");
  EXPECT_EQ(refusal({{1, 0, 0xFFFFFFFF}}), "/m/0: the range goes beyond the last id, 4294967294");
  std::vector<oci::IdMapping> many;
  for (std::uint32_t i = 0; i < 340; ++i) many.push_back({2 * i, 2 * i, 1});
  EXPECT_EQ(refusal(many), "");
  many.push_back({1000, 1000, 1});
  EXPECT_EQ(refusal(many), "/m: 341 ranges");
}

}  // namespace
}  // namespace bulkhead::isolation
