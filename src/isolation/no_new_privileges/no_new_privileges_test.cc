#include "isolation/no_new_privileges/no_new_privileges.h"

#include <gtest/gtest.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

constexpr NoNewPrivileges::Plan kOn{true};

TEST(NoNewPrivileges, HoldsAfterApply) {
  EXPECT_TRUE(in_child([] {
    TestChild child;
    return NoNewPrivileges::apply(kOn, child) && NoNewPrivileges::verify(kOn, child);
  }));
}

TEST(NoNewPrivileges, VerifyNoticesThatApplyNeverRan) {
  EXPECT_TRUE(in_child([] {
    TestChild child;
    return !NoNewPrivileges::verify(kOn, child);
  }));
}

TEST(NoNewPrivileges, FailsClosedWhenTheKernelRefuses) {
  EXPECT_TRUE(in_child([] {
    TestChild child;
    testing::kernel_refuses_argument(SYS_prctl, 0, PR_SET_NO_NEW_PRIVS, EPERM);
    return !NoNewPrivileges::apply(kOn, child);
  }));
}

TEST(NoNewPrivileges, IsADoorThatTheSpecOpened) {
  oci::Spec spec;
  spec.process.emplace();
  EXPECT_EQ(NoNewPrivileges::explain(*NoNewPrivileges::describe({.spec = spec}, {})).standing,
            Standing::kOpened);
  spec.process->no_new_privileges = true;
  EXPECT_EQ(NoNewPrivileges::explain(*NoNewPrivileges::describe({.spec = spec}, {})).standing,
            Standing::kApplied);
}

}  // namespace
}  // namespace bulkhead::isolation
