#include "isolation/sysctl/sysctl.h"

#include <gtest/gtest.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using oci::NamespaceType;
using testing::in_child;
using testing::TestChild;

oci::Spec with(std::map<std::string, std::string> settings) {
  oci::Spec spec;
  spec.linux_.namespaces = {
      {NamespaceType::kNetwork, ""}, {NamespaceType::kIpc, ""}, {NamespaceType::kUts, ""}};
  spec.linux_.sysctl = std::move(settings);
  return spec;
}

Result<Sysctls::Plan> describe(const oci::Spec& spec) {
  return Sysctls::describe({.spec = spec}, *gather_host_facts());
}

// In a test child: what the namespaces' layers do before this one.
void enter_namespaces(int flags = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) {
  if (::unshare(flags) != 0) testing::could_not_prepare("unshare");
}

TEST(Sysctls, HoldAfterApply) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(with({{"net.ipv4.ip_forward", "1"},
                                    {"net/ipv4/ping_group_range", "0 100"},
                                    {"net.ipv4.ip_local_reserved_ports", ""},
                                    {"kernel.shmmni", "17"},
                                    {"kernel.sem", "32000 1024000000 500 32000"},
                                    {"fs.mqueue.msg_max", "11"},
                                    {"kernel.domainname", "example.org"}}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    enter_namespaces();
    const auto applied = Sysctls::apply(plan, child);
    if (!applied) return testing::answer_of(applied);
    return testing::answer_of(Sysctls::verify(plan, child));
  }));
}

TEST(Sysctls, HoldForTheNetworkInAUserNamespace) {
  const auto plan = *describe(with({{"net.ipv4.ip_unprivileged_port_start", "80"}}));
  EXPECT_TRUE(testing::in_child_as_root_of_user_namespace([&] {
    TestChild child;
    enter_namespaces();
    return Sysctls::apply(plan, child) && Sysctls::verify(plan, child);
  }));
}

TEST(Sysctls, VerifyNoticesThatApplyNeverRan) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(with({{"kernel.shmmni", "17"}}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    enter_namespaces();
    return !Sysctls::verify(plan, child);
  }));
}

TEST(Sysctls, FailClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(with({{"kernel.shmmni", "17"}}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    enter_namespaces();
    testing::kernel_refuses(SYS_write, EPERM);
    return !Sysctls::apply(plan, child);
  }));
}

TEST(Sysctls, FailClosedForAParameterThatIsNotThere) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(with({{"net.ipv4.conf.nosuchdevice.forwarding", "1"}}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    enter_namespaces();
    return !Sysctls::apply(plan, child);
  }));
}

TEST(Sysctls, AreRefusedWhenThePathOfTheNamespaceIsTheHosts) {
  SKIP_UNLESS_ROOT();
  oci::Spec spec = with({{"net.ipv4.ip_forward", "1"}});
  spec.linux_.namespaces = {{NamespaceType::kNetwork, "/proc/self/ns/net"}};
  const auto plan = *describe(spec);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const auto applied = Sysctls::apply(plan, child);
    return !applied && applied.error().error == EPERM;
  }));
}

TEST(Sysctls, OfTheHostAreRefusedWithTheReason) {
  for (const char* name :
       {"kernel.core_pattern", "kernel.modprobe", "vm.overcommit_memory", "fs.file-max",
        "kernel.panic", "kernel.shm", "kernel.yama.ptrace_scope", "user.max_user_namespaces",
        "fs.mqueue", "net", "debug.exception-trace", "kernel.hostname", "kernel/core_pattern"}) {
    const auto plan = describe(with({{name, "1"}}));
    ASSERT_FALSE(plan) << name;
    EXPECT_EQ(plan.error().kind(), ErrorKind::kInvalid);
    EXPECT_NE(plan.error().message().find(name), std::string::npos);
  }
}

TEST(Sysctls, OfASharedNamespaceAreRefused) {
  for (const char* name :
       {"net.ipv4.ip_forward", "kernel.shmmni", "fs.mqueue.msg_max", "kernel.domainname"}) {
    oci::Spec spec = with({{name, "1"}});
    spec.linux_.namespaces.clear();
    const auto plan = describe(spec);
    ASSERT_FALSE(plan) << name;
    EXPECT_NE(plan.error().message().find("shared with the host"), std::string::npos);
  }
}

TEST(Sysctls, AreNotLedElsewhereByTheirNames) {
  for (const char* name : {"net..kernel.core_pattern", "net.ipv4/../../kernel/core_pattern",
                           "net/../kernel/core_pattern", "net/ipv4/../../kernel/core_pattern",
                           "net.ipv4.ip_forward+kernel.core_pattern", "net.ipv4.ip_forward=1",
                           "net/", ".net.ipv4", "/net/ipv4/ip_forward", "net.ipv4.",
                           "net.ipv4.ip forward", "net.ipv4.ip_forward\n", "net/./ipv4", "", "."}) {
    EXPECT_FALSE(describe(with({{name, "1"}}))) << name;
  }
}

TEST(Sysctls, AreNotLedElsewhereByTheirValues) {
  for (const char* value : {"1+kernel.core_pattern=|/bin/sh", "1\nkernel.core_pattern", "1=2",
                            "$(id)", "|/bin/sh", "1;2", "/tmp"})
    EXPECT_FALSE(describe(with({{"net.ipv4.ip_forward", value}}))) << value;
}

TEST(Sysctls, OfAnInterfaceWithADotInItsNameHaveTwoSpellings) {
  const std::vector<std::string> parts{"net", "ipv4", "conf", "eth0.1", "forwarding"};
  EXPECT_EQ(sysctl_parts("net.ipv4.conf.eth0/1.forwarding"), parts);
  EXPECT_EQ(sysctl_parts("net/ipv4/conf/eth0.1/forwarding"), parts);
  EXPECT_FALSE(describe(with({{"net.ipv4.ip_forward", "1"}, {"net/ipv4/ip_forward", "0"}})));
}

TEST(Sysctls, AreLeftAsTheyAreByAnExec) {
  const oci::Spec spec = with({{"net.ipv4.ip_forward", "1"}});
  Request request{.spec = spec};
  request.joining = true;
  EXPECT_TRUE(Sysctls::describe(request, *gather_host_facts())->settings.empty());
}

}  // namespace
}  // namespace bulkhead::isolation
