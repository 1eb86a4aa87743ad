#include "isolation/time/time.h"

#include <gtest/gtest.h>
#include <time.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

constexpr std::int64_t kDay = 86'400;

oci::Spec shifted() {
  oci::Spec spec;
  spec.linux_.namespaces = {{oci::NamespaceType::kTime, ""}};
  spec.linux_.time_offsets["monotonic"] = {kDay, 500};
  spec.linux_.time_offsets["boottime"] = {2 * kDay, 0};
  return spec;
}

Result<TimeNamespace::Plan> describe(const oci::Spec& spec) {
  return TimeNamespace::describe({.spec = spec}, *gather_host_facts());
}

std::int64_t seconds_of(clockid_t clock) {
  struct timespec now{};
  // Not the vDSO's: its page is the one of the process's first time namespace.
  ::syscall(SYS_clock_gettime, clock, &now);
  return now.tv_sec;
}

#define SKIP_WITHOUT_TIME_NAMESPACES() \
  if (!gather_host_facts()->time_namespace) GTEST_SKIP() << "this kernel has no time namespaces"

TEST(TimeNamespace, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  SKIP_WITHOUT_TIME_NAMESPACES();
  const auto plan = *describe(shifted());
  const std::int64_t before = seconds_of(CLOCK_MONOTONIC);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const auto applied = TimeNamespace::apply(plan, child);
    if (!applied) return testing::answer_of(applied);
    const auto verified = TimeNamespace::verify(plan, child);
    if (!verified) return testing::answer_of(verified);
    const std::int64_t shift = seconds_of(CLOCK_MONOTONIC) - before;
    return shift >= kDay && shift < kDay + 60;
  }));
}

TEST(TimeNamespace, HoldsInAUserNamespaceThoughTheProcessIsNotDumpable) {
  SKIP_WITHOUT_TIME_NAMESPACES();
  const auto plan = *describe(shifted());
  EXPECT_TRUE(testing::in_child_as_root_of_user_namespace([&] {
    TestChild child;
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    const auto applied = TimeNamespace::apply(plan, child);
    if (!applied) return testing::answer_of(applied);
    return TimeNamespace::verify(plan, child) && ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
  }));
}

TEST(TimeNamespace, HoldsWithoutOffsets) {
  SKIP_UNLESS_ROOT();
  SKIP_WITHOUT_TIME_NAMESPACES();
  oci::Spec spec = shifted();
  spec.linux_.time_offsets.clear();
  const auto plan = *describe(spec);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return TimeNamespace::apply(plan, child) && TimeNamespace::verify(plan, child);
  }));
}

TEST(TimeNamespace, TakesNegativeOffsetsOfTheBootClock) {
  SKIP_UNLESS_ROOT();
  SKIP_WITHOUT_TIME_NAMESPACES();
  oci::Spec spec = shifted();
  spec.linux_.time_offsets["boottime"] = {-1, 0};
  spec.linux_.time_offsets["monotonic"] = {0, 0};
  const auto plan = *describe(spec);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return TimeNamespace::apply(plan, child) && TimeNamespace::verify(plan, child);
  }));
}

TEST(TimeNamespace, VerifyNoticesThatApplyNeverRan) {
  SKIP_WITHOUT_TIME_NAMESPACES();
  const auto plan = *describe(shifted());
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !TimeNamespace::verify(plan, child);
  }));
}

TEST(TimeNamespace, FailsClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  SKIP_WITHOUT_TIME_NAMESPACES();
  const auto plan = *describe(shifted());
  for (const long call : {SYS_unshare, SYS_write, SYS_setns})
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      testing::kernel_refuses(call, EPERM);
      return !TimeNamespace::apply(plan, child);
    })) << call;
}

TEST(TimeNamespace, RefusesOffsetsThatNobodyWouldApply) {
  oci::Spec spec = shifted();
  spec.linux_.namespaces.clear();
  EXPECT_FALSE(describe(spec));
  spec.linux_.namespaces = {{oci::NamespaceType::kTime, "/proc/1/ns/time"}};
  EXPECT_FALSE(describe(spec));
  spec = shifted();
  spec.linux_.time_offsets["realtime"] = {1, 0};
  EXPECT_FALSE(describe(spec));
  spec = shifted();
  spec.linux_.time_offsets["monotonic"].nanosecs = 1'000'000'000;
  EXPECT_FALSE(describe(spec));
}

TEST(TimeNamespace, IsNoDoorThatSomebodyOpened) {
  EXPECT_EQ(TimeNamespace::explain(*describe({})).standing, Standing::kNotApplicable);
}

}  // namespace
}  // namespace bulkhead::isolation
