#include "isolation/scheduling/memory_policy.h"

#include <gtest/gtest.h>
#include <linux/mempolicy.h>

#include "isolation/scheduling/scheduling.h"
#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;

Result<MemoryPolicy> plan(std::string mode, std::string nodes = "",
                          std::vector<std::string> flags = {}) {
  return plan_memory_policy({std::move(mode), std::move(nodes), std::move(flags)});
}

TEST(MemoryPolicy, HoldsAfterItIsSet) {
  for (const auto& policy :
       {plan("MPOL_BIND", "0"), plan("MPOL_BIND", "0", {"MPOL_F_STATIC_NODES"}),
        plan("MPOL_INTERLEAVE", "0"), plan("MPOL_PREFERRED", "0"), plan("MPOL_PREFERRED"),
        plan("MPOL_LOCAL"), plan("MPOL_DEFAULT")}) {
    ASSERT_TRUE(policy);
    EXPECT_TRUE(in_child([&] {
      return set_memory_policy(*policy) && verify_memory_policy(*policy);
    })) << policy->mode;
  }
}

TEST(MemoryPolicy, VerifyNoticesThatItWasNeverSet) {
  const auto bind = plan("MPOL_BIND", "0");
  EXPECT_TRUE(in_child([&] { return !verify_memory_policy(*bind); }));
}

TEST(MemoryPolicy, IsPartOfTheSchedulingLayer) {
  oci::Spec spec;
  spec.process.emplace();
  spec.linux_.memory_policy = oci::MemoryPolicy{"MPOL_BIND", "0", {}};
  const auto plan = Scheduling::describe({.spec = spec}, {});
  ASSERT_TRUE(plan);
  EXPECT_TRUE(in_child([&] {
    ChildContext child;
    return !Scheduling::verify(*plan, child) && Scheduling::apply(*plan, child) &&
           Scheduling::verify(*plan, child);
  }));
}

TEST(MemoryPolicy, FailsClosedWhenTheKernelRefuses) {
  const auto bind = plan("MPOL_BIND", "0");
  EXPECT_TRUE(in_child([&] {
    testing::kernel_refuses(SYS_set_mempolicy, ENOSYS);
    return !set_memory_policy(*bind);
  }));
}

TEST(MemoryPolicy, NodesThatAreNotThereAreRefused) {
  const auto far = plan("MPOL_BIND", "1000");
  ASSERT_TRUE(far);
  EXPECT_TRUE(in_child([&] { return !set_memory_policy(*far); }));
}

TEST(MemoryPolicy, RefusesWhatMakesNoSense) {
  EXPECT_FALSE(plan("MPOL_SCATTER", "0"));
  EXPECT_FALSE(plan("MPOL_BIND"));
  EXPECT_FALSE(plan("MPOL_BIND", "0-"));
  EXPECT_FALSE(plan("MPOL_BIND", "0", {"MPOL_F_NO_SUCH"}));
  EXPECT_FALSE(plan("MPOL_DEFAULT", "0"));
  EXPECT_FALSE(plan("MPOL_LOCAL", "", {"MPOL_F_STATIC_NODES"}));
}

}  // namespace
}  // namespace bulkhead::isolation
