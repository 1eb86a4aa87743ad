#include "isolation/mount_namespace/mount_namespace.h"

#include <gtest/gtest.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using namespace testing;

oci::Spec spec_with(std::string propagation, std::string path = {}) {
  oci::Spec spec;
  spec.linux_.namespaces = {{oci::NamespaceType::kMount, std::move(path)}};
  spec.linux_.rootfs_propagation = std::move(propagation);
  return spec;
}

HostFacts this_host() {
  auto host = gather_host_facts();
  return host ? *host : HostFacts{};
}

Result<MountNamespacePlan> plan_of(const oci::Spec& spec) {
  return MountNamespace::describe(Request{.spec = spec}, this_host());
}

TEST(MountNamespace, IsRequired) {
  oci::Spec spec;
  const auto plan = plan_of(spec);
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().message().find("/linux/namespaces"), std::string::npos);
}

TEST(MountNamespace, NothingInheritedIsEverShared) {
  for (const char* word : {"", "slave", "rslave", "shared", "rshared"}) {
    const auto plan = plan_of(spec_with(word));
    ASSERT_TRUE(plan) << word;
    EXPECT_EQ(plan->propagation, std::uint64_t{MS_SLAVE}) << word;
  }
  for (const char* word : {"private", "rprivate", "unbindable", "runbindable"}) {
    const auto plan = plan_of(spec_with(word));
    ASSERT_TRUE(plan) << word;
    EXPECT_EQ(plan->propagation, std::uint64_t{MS_PRIVATE}) << word;
  }
  EXPECT_FALSE(plan_of(spec_with("rslavish")));
}

TEST(MountNamespace, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  const auto spec = spec_with("rslave");
  const auto plan = plan_of(spec);
  ASSERT_TRUE(plan);
  EXPECT_TRUE(in_child([&]() -> SysResult<void> {
    TestChild child;
    TRY(MountNamespace::apply(*plan, child));
    return MountNamespace::verify(*plan, child);
  }));
}

TEST(MountNamespace, KeepsItsMountsFromTheNamespaceThatItCameFrom) {
  SKIP_UNLESS_ROOT();
  const auto spec = spec_with("shared");
  EXPECT_TRUE(in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) != 0)
      could_not_prepare("sharing all mounts");
    const auto plan = plan_of(spec);
    const bool mounted = plan && in_child([&] {
                           TestChild child;
                           return answer_of(MountNamespace::apply(*plan, child)) &&
                                  ::mount("bulkhead-test", "/mnt", "tmpfs", 0, nullptr) == 0;
                         });
    const auto mounts = read_file_at(AT_FDCWD, "/proc/self/mountinfo", 1U << 22U);
    return mounted && mounts && mounts->find("bulkhead-test") == std::string::npos;
  }));
}

TEST(MountNamespace, CanBeJoinedByPathButNotTheRuntimesOwn) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([&] {
    const auto spec = spec_with("", "/proc/self/ns/mnt");
    const auto plan = plan_of(spec);
    if (!plan) return false;
    TestChild child;
    const auto applied = MountNamespace::apply(*plan, child);
    return !applied && applied.error().error == EINVAL;
  }));
  // One that a parent keeps: the child of this child looks at it.
  EXPECT_TRUE(in_child([&] {
    const auto host = this_host();
    const pid_t outer = ::getpid();
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      could_not_prepare("unshare");
    const auto spec = spec_with("", "/proc/" + std::to_string(outer) + "/ns/mnt");
    const auto plan = MountNamespace::describe(Request{.spec = spec}, host);
    return plan && in_child([&]() -> SysResult<void> {
             if (::unshare(CLONE_NEWNS) != 0) could_not_prepare("unshare");
             TestChild child;
             TRY(MountNamespace::apply(*plan, child));
             return MountNamespace::verify(*plan, child);
           });
  }));
}

TEST(MountNamespace, VerifyNoticesThatApplyNeverRan) {
  const auto spec = spec_with("");
  const auto plan = plan_of(spec);
  ASSERT_TRUE(plan);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !MountNamespace::verify(*plan, child);
  }));
}

TEST(MountNamespace, FailsClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  const auto spec = spec_with("");
  const auto plan = plan_of(spec);
  ASSERT_TRUE(plan);
  for (const long call : {SYS_unshare, SYS_mount})
    EXPECT_TRUE(in_child([&] {
      kernel_refuses(call, EPERM);
      TestChild child;
      return !MountNamespace::apply(*plan, child);
    }));
}

}  // namespace
}  // namespace bulkhead::isolation
