#include "isolation/rlimits/rlimits.h"

#include <gtest/gtest.h>

#include "isolation/namespace.h"
#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

oci::Spec with(std::vector<oci::Rlimit> limits) {
  oci::Spec spec;
  spec.process.emplace().rlimits = std::move(limits);
  return spec;
}

Result<Rlimits::Plan> describe(const oci::Spec& spec) {
  return Rlimits::describe({.spec = spec}, *gather_host_facts());
}

std::uint64_t hard_limit(__rlimit_resource resource) {
  struct rlimit64 value{};
  ::prlimit64(0, resource, nullptr, &value);
  return value.rlim_max;
}

TEST(Rlimits, HoldAfterApply) {
  const auto plan = *describe(with({{"RLIMIT_NOFILE", 512, 256}, {"RLIMIT_CORE", 0, 0}}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return Rlimits::apply(plan, child) && Rlimits::verify(plan, child);
  }));
}

TEST(Rlimits, KnowEveryLimitOfTheKernel) {
  for (const char* name :
       {"AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE",
        "NPROC", "RSS", "RTPRIO", "RTTIME", "SIGPENDING", "STACK"})
    EXPECT_TRUE(describe(with({{std::string("RLIMIT_") + name, 1, 1}}))) << name;
}

TEST(Rlimits, VerifyNoticesThatApplyNeverRan) {
  const auto plan = *describe(with({{"RLIMIT_NOFILE", 77, 66}}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !Rlimits::verify(plan, child);
  }));
}

TEST(Rlimits, FailClosedWhenTheKernelRefuses) {
  const auto plan = *describe(with({{"RLIMIT_NOFILE", 77, 66}}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_prlimit64, EPERM);
    const auto applied = Rlimits::apply(plan, child);
    return !applied && std::string_view(applied.error().subject) == "RLIMIT_NOFILE";
  }));
}

TEST(Rlimits, SayThatRaisingAHardLimitNeedsACapability) {
  const auto plan = *describe(with({{"RLIMIT_CORE", 100, 100}}));
  EXPECT_TRUE(testing::in_child_as_root_of_user_namespace([&] {
    TestChild child;
    const struct rlimit64 none{0, 0};
    ::prlimit64(0, RLIMIT_CORE, &none, nullptr);
    const auto applied = Rlimits::apply(plan, child);
    return !applied && applied.error().error == EPERM &&
           std::string_view(applied.error().call).find("CAP_SYS_RESOURCE") !=
               std::string_view::npos;
  }));
}

TEST(Rlimits, AreLeftToTheParentWhereOnlyItMayRaiseThem) {
  oci::Spec spec = with({{"RLIMIT_NOFILE", 100, 100}});
  HostFacts host;
  host.effective_capabilities = ~std::uint64_t{0};
  EXPECT_FALSE(Rlimits::describe({.spec = spec}, host)->raised_by_parent);
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
  EXPECT_TRUE(Rlimits::describe({.spec = spec}, host)->raised_by_parent);
  host.effective_capabilities = 0;
  EXPECT_FALSE(Rlimits::describe({.spec = spec}, host)->raised_by_parent);
}

TEST(Rlimits, AreLiftedByTheParentAsFarAsNeeded) {
  auto plan = *describe(with({{"RLIMIT_NOFILE", 64, 32}}));
  plan.raised_by_parent = true;
  // Lower than what there is: nothing to lift, so that no privilege is needed.
  EXPECT_TRUE(in_child([&] {
    return Rlimits::from_parent(plan, HostPid(::getpid())) && hard_limit(RLIMIT_NOFILE) > 64;
  }));
}

TEST(Rlimits, AreLiftedByTheParentAboveItsOwn) {
  const std::uint64_t hard = hard_limit(RLIMIT_NOFILE);
  if (!gather_host_facts()->has_capability(24)) GTEST_SKIP() << "needs CAP_SYS_RESOURCE";
  auto plan = *describe(with({{"RLIMIT_NOFILE", hard + 1, hard + 1}}));
  plan.raised_by_parent = true;
  EXPECT_TRUE(in_child([&] {
    return Rlimits::from_parent(plan, HostPid(::getpid())) && hard_limit(RLIMIT_NOFILE) == hard + 1;
  }));
}

TEST(Rlimits, RefuseWhatMakesNoSense) {
  EXPECT_FALSE(describe(with({{"RLIMIT_FILES", 1, 1}})));
  EXPECT_FALSE(describe(with({{"NOFILE", 1, 1}})));
  EXPECT_FALSE(describe(with({{"", 1, 1}})));
  EXPECT_FALSE(describe(with({{"RLIMIT_NOFILE", 1, 2}})));
  const auto twice = describe(with({{"RLIMIT_NOFILE", 1, 1}, {"RLIMIT_NOFILE", 1, 1}}));
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().message(), "/process/rlimits/1: a second RLIMIT_NOFILE");
}

}  // namespace
}  // namespace bulkhead::isolation
