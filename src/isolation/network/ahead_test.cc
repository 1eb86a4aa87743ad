#include "isolation/network/ahead.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "isolation/network/network.h"
#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

ino_t own_network() {
  struct stat status{};
  return ::stat("/proc/self/ns/net", &status) == 0 ? status.st_ino : 0;
}

oci::Spec spec_with(std::vector<oci::Namespace> namespaces) {
  oci::Spec spec;
  spec.linux_.namespaces = std::move(namespaces);
  return spec;
}

TEST(NetworkAhead, FitsANewNamespaceThatNoNewUserNamespaceOwns) {
  using enum oci::NamespaceType;
  EXPECT_TRUE(NetworkAhead::fits(spec_with({{kPid, ""}, {kNetwork, ""}})));
  EXPECT_FALSE(NetworkAhead::fits(spec_with({{kPid, ""}})));
  EXPECT_FALSE(NetworkAhead::fits(spec_with({{kNetwork, "/run/netns/a"}})));
  EXPECT_FALSE(NetworkAhead::fits(spec_with({{kNetwork, ""}, {kUser, ""}})));
  EXPECT_FALSE(NetworkAhead::fits(spec_with({{kUser, "/proc/1/ns/user"}, {kNetwork, ""}})));
}

TEST(NetworkAhead, MakesANamespaceThatTheLayerEnters) {
  SKIP_UNLESS_ROOT();
  const oci::Spec spec = spec_with({{oci::NamespaceType::kNetwork, ""}});
  const auto plan = NetworkNamespace::describe({.spec = spec}, *gather_host_facts());
  ASSERT_TRUE(plan);
  EXPECT_TRUE(in_child([&] {
    const ino_t before = own_network();
    NetworkAhead ahead;
    ahead.start();
    const Fd made = ahead.take();
    struct stat status{};
    // The process itself has stayed where it was.
    if (!made || ::fstat(made.get(), &status) != 0 || own_network() != before) return false;
    if (status.st_ino == before) return false;
    TestChild child;
    child.context.network = made.get();
    return NetworkNamespace::apply(*plan, child) && own_network() == status.st_ino &&
           NetworkNamespace::verify(*plan, child);
  }));
}

TEST(NetworkAhead, LeavesItToTheLayerWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  for (const long call : {SYS_unshare, SYS_socket, SYS_ioctl}) {
    EXPECT_TRUE(in_child([&] {
      testing::kernel_refuses(call, EPERM);
      NetworkAhead ahead;
      ahead.start();
      return !ahead.take();
    })) << call;
  }
}

TEST(NetworkAhead, IsNothingWithoutAThread) {
  EXPECT_TRUE(in_child([] {
    testing::kernel_refuses(SYS_clone, EAGAIN);
    NetworkAhead ahead;
    ahead.start();
    return !ahead.take();
  }));
}

TEST(NetworkAhead, LeavesNoDescriptorBehindWhenItIsDropped) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([] {
    const int before = ::open("/dev/null", O_RDONLY);
    {
      NetworkAhead ahead;
      ahead.start();
    }
    return before >= 0 && ::open("/dev/null", O_RDONLY) == before + 1;
  }));
}

TEST(NetworkNamespace, FailsClosedWhenTheNamespaceMadeAheadCannotBeEntered) {
  SKIP_UNLESS_ROOT();
  const oci::Spec spec = spec_with({{oci::NamespaceType::kNetwork, ""}});
  const auto plan = NetworkNamespace::describe({.spec = spec}, *gather_host_facts());
  ASSERT_TRUE(plan);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    child.context.network = 0;  // no namespace at all
    return !NetworkNamespace::apply(*plan, child);
  }));
}

}  // namespace
}  // namespace bulkhead::isolation
