#include "isolation/network/network.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

oci::Spec with_network() {
  oci::Spec spec;
  spec.linux_.namespaces = {{oci::NamespaceType::kNetwork, ""}};
  return spec;
}

NetworkNamespace::Plan new_namespace() {
  const oci::Spec spec = with_network();
  return *NetworkNamespace::describe({.spec = spec}, *gather_host_facts());
}

// Whether a datagram can be sent to 127.0.0.1: not while the loopback interface is down.
bool loopback_works() {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  struct sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::sendto(socket.get(), "x", 1, 0, reinterpret_cast<struct sockaddr*>(&address),
                  sizeof address) == 1;
}

TEST(NetworkNamespace, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  const auto plan = new_namespace();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return NetworkNamespace::apply(plan, child) && NetworkNamespace::verify(plan, child) &&
           loopback_works();
  }));
}

TEST(NetworkNamespace, HasNoInterfaceOfTheHost) {
  SKIP_UNLESS_ROOT();
  const auto plan = new_namespace();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    if (!NetworkNamespace::apply(plan, child)) return false;
    // Kernels make tunl0 and the like in each namespace; nothing of the host's must be there.
    struct if_nameindex* const names = ::if_nameindex();
    if (names == nullptr) return false;
    for (struct if_nameindex* at = names; at->if_index != 0; ++at)
      if (std::string_view(at->if_name).starts_with("eth")) return false;
    return true;
  }));
}

TEST(NetworkNamespace, VerifyNoticesThatApplyNeverRan) {
  const auto plan = new_namespace();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !NetworkNamespace::verify(plan, child);
  }));
}

TEST(NetworkNamespace, VerifyNoticesThatTheLoopbackInterfaceIsDown) {
  SKIP_UNLESS_ROOT();
  const auto plan = new_namespace();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    if (::unshare(CLONE_NEWNET) != 0) testing::could_not_prepare("unshare");
    return !NetworkNamespace::verify(plan, child);
  }));
}

TEST(NetworkNamespace, FailsClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  const auto plan = new_namespace();
  for (const long call : {SYS_unshare, SYS_socket, SYS_ioctl})
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      testing::kernel_refuses(call, EPERM);
      return !NetworkNamespace::apply(plan, child);
    })) << call;
}

TEST(NetworkNamespace, JoinedByPathIsLeftAsItIs) {
  SKIP_UNLESS_ROOT();
  oci::Spec spec;
  spec.linux_.namespaces = {
      {oci::NamespaceType::kNetwork, "/proc/" + std::to_string(::getpid()) + "/ns/net"}};
  const auto plan = *NetworkNamespace::describe({.spec = spec}, *gather_host_facts());
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_ioctl, EPERM);
    return NetworkNamespace::apply(plan, child) && NetworkNamespace::verify(plan, child);
  }));
}

TEST(NetworkNamespace, LeavesTheHostsDevicesToTheHostsRoot) {
  oci::Spec spec = with_network();
  spec.linux_.net_devices["eth7"] = {};
  HostFacts host = *gather_host_facts();
  host.in_initial_user_namespace = true;
  host.effective_capabilities = ~std::uint64_t{0};
  EXPECT_TRUE(NetworkNamespace::describe({.spec = spec}, host));
  host.effective_capabilities = 0;
  const auto plan = NetworkNamespace::describe({.spec = spec}, host);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind(), ErrorKind::kPermission);
  EXPECT_TRUE(plan.error().message().starts_with("/linux/netDevices/eth7"));
}

}  // namespace
}  // namespace bulkhead::isolation
