#include "isolation/keyring/keyring.h"

#include <gtest/gtest.h>
#include <linux/keyctl.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

SessionKeyring::Plan new_keyring() {
  const oci::Spec spec;
  return *SessionKeyring::describe({.spec = spec}, *gather_host_facts());
}

#define SKIP_WITHOUT_KEYRINGS() \
  if (gather_host_facts()->session_keyring == 0) GTEST_SKIP() << "this kernel has no keyrings"

TEST(SessionKeyring, HoldsAfterApply) {
  SKIP_WITHOUT_KEYRINGS();
  const auto plan = new_keyring();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return SessionKeyring::apply(plan, child) && SessionKeyring::verify(plan, child);
  }));
}

TEST(SessionKeyring, HidesTheCallersKeys) {
  SKIP_WITHOUT_KEYRINGS();
  EXPECT_TRUE(in_child([] {
    TestChild child;
    // A caller with a key in its own session keyring.
    ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
    const long key =
        ::syscall(SYS_add_key, "user", "bulkhead:test", "secret", 6, KEY_SPEC_SESSION_KEYRING);
    if (key < 0) testing::could_not_prepare("add_key");
    const auto plan = new_keyring();
    const auto search = [] {
      return ::syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "bulkhead:test",
                       0);
    };
    const bool found_before = search() == key;
    return found_before && SessionKeyring::apply(plan, child) && search() < 0;
  }));
}

TEST(SessionKeyring, VerifyNoticesThatApplyNeverRan) {
  SKIP_WITHOUT_KEYRINGS();
  const auto plan = new_keyring();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !SessionKeyring::verify(plan, child);
  }));
}

TEST(SessionKeyring, FailsClosedWhenTheKernelRefuses) {
  SKIP_WITHOUT_KEYRINGS();
  const auto plan = new_keyring();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_keyctl, EDQUOT);
    return !SessionKeyring::apply(plan, child);
  }));
}

TEST(SessionKeyring, IsKeptWhenAskedFor) {
  const oci::Spec spec;
  Request request{.spec = spec};
  request.new_session_keyring = false;
  const auto plan = *SessionKeyring::describe(request, *gather_host_facts());
  EXPECT_EQ(SessionKeyring::explain(plan).standing, Standing::kOpened);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_keyctl, EPERM);
    return SessionKeyring::apply(plan, child) && SessionKeyring::verify(plan, child);
  }));
}

}  // namespace
}  // namespace bulkhead::isolation
