#include "isolation/personality/personality.h"

#include <gtest/gtest.h>
#include <sys/personality.h>
#include <sys/utsname.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

Result<PersonalityLayer::Plan> describe(const char* domain, std::vector<std::string> flags = {}) {
  oci::Spec spec;
  spec.linux_.personality = {domain, std::move(flags)};
  return PersonalityLayer::describe({.spec = spec}, {});
}

TEST(Personality, HoldsAfterApply) {
  const auto plan = *describe("LINUX32");
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return PersonalityLayer::apply(plan, child) && PersonalityLayer::verify(plan, child);
  }));
}

TEST(Personality, ClearsInheritedFlags) {
  const auto plan = *describe("LINUX");
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    ::personality(ADDR_NO_RANDOMIZE);
    if (PersonalityLayer::verify(plan, child)) return false;
    return PersonalityLayer::apply(plan, child) && PersonalityLayer::verify(plan, child);
  }));
}

TEST(Personality, VerifyNoticesThatApplyNeverRan) {
  const auto plan = *describe("LINUX32");
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !PersonalityLayer::verify(plan, child);
  }));
}

TEST(Personality, FailsClosedWhenTheKernelRefuses) {
  const auto plan = *describe("LINUX32");
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_personality, EPERM);
    return !PersonalityLayer::apply(plan, child);
  }));
}

TEST(Personality, RefusesWhatItCannotSet) {
  EXPECT_FALSE(describe("BSD"));
  EXPECT_FALSE(describe(""));
  EXPECT_FALSE(describe("LINUX", {"ADDR_NO_RANDOMIZE"}));
}

}  // namespace
}  // namespace bulkhead::isolation
