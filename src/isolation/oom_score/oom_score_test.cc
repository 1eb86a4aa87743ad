#include "isolation/oom_score/oom_score.h"

#include <gtest/gtest.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

oci::Spec with(std::int32_t adjustment) {
  oci::Spec spec;
  spec.process.emplace().oom_score_adj = adjustment;
  return spec;
}

Result<OomScore::Plan> describe(const oci::Spec& spec) {
  return OomScore::describe({.spec = spec}, *gather_host_facts());
}

TEST(OomScore, HoldsAfterApply) {
  const auto plan = *describe(with(321));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return OomScore::apply(plan, child) && OomScore::verify(plan, child);
  }));
}

TEST(OomScore, VerifyNoticesThatApplyNeverRan) {
  const auto plan = *describe(with(321));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !OomScore::verify(plan, child);
  }));
}

TEST(OomScore, FailsClosedWhenTheKernelRefuses) {
  const auto plan = *describe(with(321));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_write, EACCES);
    const auto applied = OomScore::apply(plan, child);
    return !applied && std::string_view(applied.error().call).find("CAP_SYS_RESOURCE") !=
                           std::string_view::npos;
  }));
}

TEST(OomScore, IsWrittenByTheParentForAUserNamespace) {
  SKIP_UNLESS_ROOT();
  oci::Spec spec = with(123);
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
  const auto plan = *describe(spec);
  ASSERT_TRUE(plan.written_by_parent);
  int ready[2];
  int written[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(written), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    char byte = 0;
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (::unshare(CLONE_NEWUSER) != 0 || ::write(ready[1], &byte, 1) != 1 ||
        ::read(written[0], &byte, 1) != 1)
      ::_exit(testing::kChildCouldNotTry);
    TestChild context;
    ::_exit(OomScore::apply(plan, context) && OomScore::verify(plan, context) ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_TRUE(OomScore::from_parent(plan, HostPid(child)));
  ASSERT_EQ(::write(written[1], &byte, 1), 1);
  EXPECT_TRUE(testing::said_yes(child));
  for (const int fd : {ready[0], ready[1], written[0], written[1]}) ::close(fd);
}

TEST(OomScore, IsWrittenByAnExecForItselfThoughItIsNotDumpable) {
  SKIP_UNLESS_ROOT();
  const auto plan = [] {
    oci::Spec spec = with(123);
    spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
    return *describe(spec);
  }();
  EXPECT_TRUE(in_child([&] {
    if (::setresuid(1000, 1000, 1000) != 0) return false;
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    TestChild child;
    return OomScore::from_parent(plan, HostPid(0)) && OomScore::verify(plan, child) &&
           ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
  }));
}

TEST(OomScore, RefusesWhatTheKernelDoesNotKnow) {
  EXPECT_FALSE(describe(with(1001)));
  EXPECT_FALSE(describe(with(-1001)));
  EXPECT_TRUE(describe(with(-1000)));
}

TEST(OomScore, IsInheritedUnlessAskedFor) {
  oci::Spec spec;
  spec.process.emplace();
  const auto plan = *describe(spec);
  EXPECT_EQ(OomScore::explain(plan).standing, Standing::kNotApplicable);
}

}  // namespace
}  // namespace bulkhead::isolation
