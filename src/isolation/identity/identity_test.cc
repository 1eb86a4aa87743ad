#include "isolation/identity/identity.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

oci::Spec with(std::uint32_t uid, std::uint32_t gid, std::vector<std::uint32_t> groups = {}) {
  oci::Spec spec;
  oci::User& user = spec.process.emplace().user;
  user.uid = ContainerUid(uid);
  user.gid = ContainerGid(gid);
  for (const std::uint32_t group : groups) user.additional_gids.push_back(ContainerGid(group));
  return spec;
}

Result<Identity::Plan> describe(const oci::Spec& spec) {
  return Identity::describe({.spec = spec}, *gather_host_facts());
}

TEST(Identity, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  for (const std::uint32_t uid : {0U, 1000U, 4294967294U}) {
    const auto plan = *describe(with(uid, 1001, {7, 5, 7}));
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      const auto applied = Identity::apply(plan, child);
      if (!applied) return testing::answer_of(applied);
      return testing::answer_of(Identity::verify(plan, child));
    })) << uid;
  }
}

TEST(Identity, HoldsForMoreGroupsThanAnybodyHas) {
  SKIP_UNLESS_ROOT();
  std::vector<std::uint32_t> groups;
  for (std::uint32_t group = 1; group <= 1000; ++group) groups.push_back(group);
  const auto plan = *describe(with(1000, 1000, groups));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return Identity::apply(plan, child) && Identity::verify(plan, child);
  }));
}

TEST(Identity, DropsTheCallersGroups) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(with(0, 0));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const gid_t disk = 6;
    if (::setgroups(1, &disk) != 0) testing::could_not_prepare("setgroups");
    if (Identity::verify(plan, child)) return false;
    return Identity::apply(plan, child) && ::getgroups(0, nullptr) == 0;
  }));
}

TEST(Identity, KeepsTheCapabilitiesForTheirOwnLayer) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(with(1000, 1000));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    if (!Identity::apply(plan, child)) return false;
    std::array<char, 8192> buffer;
    const auto status = read_small_file_at(child.proc.get(), "self/status", buffer);
    return status && status->find("CapPrm:\t0000000000000000") == std::string_view::npos &&
           status->find("CapEff:\t0000000000000000") != std::string_view::npos;
  }));
}

TEST(Identity, VerifyNoticesThatApplyNeverRan) {
  const auto plan = *describe(with(54321, 54321));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !Identity::verify(plan, child);
  }));
}

TEST(Identity, VerifyNoticesAnotherUmask) {
  SKIP_UNLESS_ROOT();
  oci::Spec spec = with(1000, 1000);
  spec.process->user.umask = 077;
  const auto plan = *describe(spec);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    if (!Identity::apply(plan, child) || !Identity::verify(plan, child)) return false;
    ::umask(022);
    return !Identity::verify(plan, child);
  }));
}

TEST(Identity, FailsClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(with(1000, 1000));
  for (const long call : {SYS_setgroups, SYS_setresgid, SYS_setresuid, SYS_prctl})
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      testing::kernel_refuses(call, EPERM);
      return !Identity::apply(plan, child);
    })) << call;
}

TEST(Identity, MustBeMapped) {
  oci::Spec spec = with(70000, 0);
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
  spec.linux_.uid_mappings = {{0, 700000000, 65536}};
  spec.linux_.gid_mappings = {{0, 700000000, 65536}};
  const auto plan = describe(spec);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().message(),
            "/process/user/uid: 70000 is not in the container's user namespace");
  spec.process->user.uid = ContainerUid(65535);
  EXPECT_TRUE(describe(spec));
  spec.process->user.additional_gids = {ContainerGid(65536)};
  EXPECT_FALSE(describe(spec));
}

TEST(Identity, NeverTakesTheNumberThatMeansNone) {
  EXPECT_FALSE(describe(with(4294967295U, 0)));
  EXPECT_FALSE(describe(with(0, 4294967295U)));
  EXPECT_FALSE(describe(with(0, 0, {4294967295U})));
}

TEST(Identity, RefusesGroupsThatAnUnprivilegedUserMayNotSet) {
  oci::Spec spec = with(0, 0, {5});
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
  spec.linux_.uid_mappings = {{0, 1000, 1}};
  spec.linux_.gid_mappings = {{0, 1000, 1}, {5, 5, 1}};
  HostFacts host;
  host.euid = host.egid = 1000;
  EXPECT_TRUE(Identity::describe({.spec = spec}, host));  // by newgidmap
  spec.linux_.gid_mappings = {{5, 1000, 1}};
  spec.process->user.gid = ContainerGid(5);
  const auto plan = Identity::describe({.spec = spec}, host);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind(), ErrorKind::kPermission);
  spec.process->user.additional_gids.clear();
  EXPECT_FALSE(Identity::describe({.spec = spec}, host)->sets_groups);
}

TEST(Identity, ExplainsTheUmaskInOctal) {
  oci::Spec spec = with(1, 2);
  spec.process->user.umask = 027;
  const Explanation explanation = Identity::explain(*describe(spec));
  EXPECT_EQ(explanation.facts.back().value, "0027");
  spec.process->user.umask = 01000;
  EXPECT_FALSE(describe(spec));
}

}  // namespace
}  // namespace bulkhead::isolation
