#include "runtime/checkpointable.h"

#include <gtest/gtest.h>

namespace bulkhead::runtime {
namespace {

oci::Spec plain() {
  oci::Spec spec;
  spec.process.emplace();
  spec.linux_.namespaces = {{oci::NamespaceType::kPid, ""}, {oci::NamespaceType::kMount, ""}};
  return spec;
}

void refuses(const oci::Spec& spec, std::string_view words) {
  const auto refused = refuse_uncheckpointable(spec);
  ASSERT_FALSE(refused) << words;
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
  EXPECT_NE(refused.error().message().find(words), std::string::npos) << refused.error().message();
  EXPECT_FALSE(refused.error().hint().empty()) << words;
}

TEST(Checkpointable, IsAnOrdinaryContainer) {
  oci::Spec spec = plain();
  spec.linux_.namespaces.push_back({oci::NamespaceType::kNetwork, "/run/netns/x"});
  spec.linux_.seccomp.emplace();
  EXPECT_TRUE(refuse_uncheckpointable(spec));
}

TEST(Checkpointable, IsNotOneThatSharesProcessesOrMountsWithTheHost) {
  oci::Spec spec = plain();
  spec.linux_.namespaces.erase(spec.linux_.namespaces.begin());
  refuses(spec, "pid namespace");
  spec = plain();
  spec.linux_.namespaces.pop_back();
  refuses(spec, "mount namespace");
}

TEST(Checkpointable, IsNotOneThatHasJoinedOtherNamespaces) {
  for (const auto type : {oci::NamespaceType::kIpc, oci::NamespaceType::kUts,
                          oci::NamespaceType::kCgroup, oci::NamespaceType::kTime}) {
    oci::Spec spec = plain();
    spec.linux_.namespaces.push_back({type, "/proc/1/ns/x"});
    refuses(spec, "by path");
  }
}

TEST(Checkpointable, IsNotOneWhoseRootMayNotReadTheCheckpoint) {
  for (const char* path : {"", "/proc/1/ns/user"}) {
    oci::Spec spec = plain();
    spec.linux_.namespaces.push_back({oci::NamespaceType::kUser, path});
    refuses(spec, "user namespace");
  }
}

TEST(Checkpointable, IsNotWhatCriuDoesNotKnow) {
  oci::Spec spec = plain();
  spec.annotations["org.bulkhead.landlock"] = "{}";
  refuses(spec, "Landlock");
  spec = plain();
  spec.linux_.seccomp.emplace().listener_path = "/run/agent";
  EXPECT_TRUE(refuse_uncheckpointable(spec)) << "an agent that nobody asks";
  spec.linux_.seccomp->syscalls = {{.names = {"mount"}, .action = "SCMP_ACT_NOTIFY"}};
  refuses(spec, "listenerPath");
  spec = plain();
  spec.linux_.net_devices["eth0"];
  refuses(spec, "netDevices");
  spec = plain();
  spec.linux_.intel_rdt.emplace();
  refuses(spec, "intelRdt");
  spec = plain();
  spec.linux_.memory_policy.emplace();
  refuses(spec, "memoryPolicy");
  spec = plain();
  spec.process->io_priority.emplace();
  refuses(spec, "ioPriority");
  spec = plain();
  spec.process->scheduler.emplace().policy = "SCHED_DEADLINE";
  refuses(spec, "scheduler");
  spec.process->scheduler->policy = "SCHED_BATCH";
  EXPECT_TRUE(refuse_uncheckpointable(spec));
}

TEST(Checkpointable, IsNoProcessWithAmbientCapabilities) {
  EXPECT_TRUE(refuse_uncheckpointable_process("Name:\tx\nCapAmb:\t0000000000000000\n"));
  EXPECT_FALSE(refuse_uncheckpointable_process("Name:\tx\nCapAmb:\t0000000000000400\n"));
}

}  // namespace
}  // namespace bulkhead::runtime
