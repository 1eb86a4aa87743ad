#include "isolation/ipc/ipc.h"

#include <gtest/gtest.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

IpcNamespace::Plan new_namespace() {
  oci::Spec spec;
  spec.linux_.namespaces = {{oci::NamespaceType::kIpc, ""}};
  return *IpcNamespace::describe({.spec = spec}, *gather_host_facts());
}

TEST(IpcNamespace, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  const auto plan = new_namespace();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return IpcNamespace::apply(plan, child) && IpcNamespace::verify(plan, child);
  }));
}

TEST(IpcNamespace, HidesSharedMemoryOfTheHost) {
  SKIP_UNLESS_ROOT();
  const auto plan = new_namespace();
  const key_t key = 0x62756c6b;
  const int segment = ::shmget(key, 4096, IPC_CREAT | 0600);
  ASSERT_GE(segment, 0);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const bool seen_before = ::shmget(key, 4096, 0) >= 0;
    if (!IpcNamespace::apply(plan, child)) return false;
    return seen_before && ::shmget(key, 4096, 0) < 0;
  }));
  ::shmctl(segment, IPC_RMID, nullptr);
}

TEST(IpcNamespace, VerifyNoticesThatApplyNeverRan) {
  const auto plan = new_namespace();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !IpcNamespace::verify(plan, child);
  }));
}

TEST(IpcNamespace, FailsClosedWhenTheKernelRefuses) {
  const auto plan = new_namespace();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_unshare, EPERM);
    return !IpcNamespace::apply(plan, child);
  }));
}

}  // namespace
}  // namespace bulkhead::isolation
