#include "isolation/uts/uts.h"

#include <gtest/gtest.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

oci::Spec named() {
  oci::Spec spec;
  spec.linux_.namespaces = {{oci::NamespaceType::kUts, ""}};
  spec.hostname = "bulkhead-test";
  spec.domainname = "example.org";
  return spec;
}

Result<UtsNamespace::Plan> describe(const oci::Spec& spec) {
  return UtsNamespace::describe({.spec = spec}, *gather_host_facts());
}

TEST(UtsNamespace, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(named());
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return UtsNamespace::apply(plan, child) && UtsNamespace::verify(plan, child);
  }));
  char name[65] = {};
  ::gethostname(name, sizeof name);
  EXPECT_STRNE(name, "bulkhead-test");
}

TEST(UtsNamespace, HoldsInAUserNamespace) {
  const auto plan = *describe(named());
  EXPECT_TRUE(testing::in_child_as_root_of_user_namespace([&] {
    TestChild child;
    return UtsNamespace::apply(plan, child) && UtsNamespace::verify(plan, child);
  }));
}

TEST(UtsNamespace, VerifyNoticesThatApplyNeverRan) {
  const auto plan = *describe(named());
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !UtsNamespace::verify(plan, child);
  }));
}

TEST(UtsNamespace, VerifyNoticesAnotherName) {
  SKIP_UNLESS_ROOT();
  auto plan = *describe(named());
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    if (!UtsNamespace::apply(plan, child)) return false;
    return ::sethostname("other", 5) == 0 && !UtsNamespace::verify(plan, child);
  }));
}

TEST(UtsNamespace, FailsClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(named());
  for (const long call : {SYS_unshare, SYS_sethostname, SYS_setdomainname})
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      if (call != SYS_unshare && ::unshare(CLONE_NEWUTS) != 0)
        testing::could_not_prepare("unshare");
      testing::kernel_refuses(call, EPERM);
      return !UtsNamespace::apply(plan, child);
    })) << call;
}

TEST(UtsNamespace, NeverRenamesTheHost) {
  oci::Spec spec = named();
  spec.linux_.namespaces.clear();
  const auto plan = describe(spec);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind(), ErrorKind::kInvalid);
}

TEST(UtsNamespace, RefusesNamesThatTheKernelCutsOrATerminalObeys) {
  oci::Spec spec = named();
  spec.hostname = std::string(65, 'a');
  EXPECT_FALSE(describe(spec));
  spec.hostname = std::string(64, 'a');
  EXPECT_TRUE(describe(spec));
  for (const char* name : {"a b", "\x1b[31m", "a\n", "h\xc3\xb6st"}) {
    spec.hostname = name;
    EXPECT_FALSE(describe(spec)) << name;
  }
}

TEST(UtsNamespace, LeavesTheNamesToTheContainerInAnExec) {
  const oci::Spec spec = named();
  Request request{.spec = spec};
  request.joining = true;
  const auto plan = *UtsNamespace::describe(request, *gather_host_facts());
  EXPECT_TRUE(plan.hostname.empty());
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_sethostname, EPERM);
    return UtsNamespace::apply(plan, child) && UtsNamespace::verify(plan, child);
  }));
}

}  // namespace
}  // namespace bulkhead::isolation
