#include "isolation/pid/pid.h"

#include <gtest/gtest.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

PidNamespace::Plan new_namespace() {
  PidNamespace::Plan plan;
  plan.wish = NamespaceWish::kNew;
  plan.type = oci::NamespaceType::kPid;
  return plan;
}

TEST(PidNamespace, HoldsInAChildThatWasClonedIntoOne) {
  SKIP_UNLESS_ROOT();
  const auto plan = new_namespace();
  EXPECT_TRUE(in_child([&] {
    if (::unshare(CLONE_NEWPID) != 0) testing::could_not_prepare("unshare");
    return in_child([&] {
      TestChild child;
      return PidNamespace::apply(plan, child) && PidNamespace::verify(plan, child);
    });
  }));
}

TEST(PidNamespace, VerifyNoticesThatTheChildWasNotClonedIntoOne) {
  const auto plan = new_namespace();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !PidNamespace::verify(plan, child);
  }));
}

TEST(PidNamespace, FailsClosedWhenTheChildWasNotClonedIntoOne) {
  const auto plan = new_namespace();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !PidNamespace::apply(plan, child);
  }));
}

TEST(PidNamespace, JoinedByPathMustBeEnteredByLaunch) {
  PidNamespace::Plan plan = new_namespace();
  plan.wish = NamespaceWish::kPath;
  plan.path = "/proc/1/ns/pid";
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !PidNamespace::apply(plan, child);
  }));
}

}  // namespace
}  // namespace bulkhead::isolation
