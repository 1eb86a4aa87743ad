#include "runtime/features.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include <algorithm>

#include "isolation/capabilities/names.h"
#include "isolation/mounts/options.h"
#include "isolation/seccomp/profile.h"
#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

isolation::HostFacts host() { return isolation::gather_host_facts().value(); }

TEST(Features, ListsOnlyMountOptionsThatAreUnderstood) {
  const auto document = features(host(), "1", "c");
  for (const std::string& option : *document.mount_options)
    EXPECT_TRUE(isolation::parse_mount_options({option}).data.empty()) << option;
  for (const char* known : {"rro", "idmap", "ridmap", "tmpcopyup", "rbind", "nosymfollow"})
    EXPECT_TRUE(std::ranges::count(*document.mount_options, known)) << known;
}

TEST(Features, ListsOnlySeccompWordsThatAreUnderstood) {
  const auto seccomp = *features(host(), "1", "c").linux_->seccomp;
  for (const std::string& action : *seccomp.actions) {
    oci::Seccomp profile;
    profile.default_action = "SCMP_ACT_ALLOW";
    profile.listener_path = "/run/agent.sock";
    profile.syscalls.push_back({{"chmod"}, action, std::nullopt, {}});
    EXPECT_TRUE(isolation::seccomp::read_profile(profile)) << action;
  }
  for (const std::string& op : *seccomp.operators) {
    oci::Seccomp profile;
    profile.default_action = "SCMP_ACT_ALLOW";
    profile.syscalls.push_back({{"chmod"}, "SCMP_ACT_ERRNO", std::nullopt, {{1, 7, 7, op}}});
    EXPECT_TRUE(isolation::seccomp::read_profile(profile)) << op;
  }
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  profile.architectures = *seccomp.archs;
  profile.flags = *seccomp.known_flags;
  EXPECT_TRUE(isolation::seccomp::read_profile(profile));
  for (const std::string& flag : *seccomp.supported_flags)
    EXPECT_TRUE(std::ranges::count(*seccomp.known_flags, flag)) << flag;
  EXPECT_TRUE(std::ranges::count(*seccomp.supported_flags, "SECCOMP_FILTER_FLAG_LOG"));
}

TEST(Features, FollowsTheKernel) {
  isolation::HostFacts old = host();
  old.kernel_major = 5;
  old.kernel_minor = 10;
  old.last_capability = 39;
  old.namespaces.fill(0);
  old.namespaces[static_cast<std::size_t>(oci::NamespaceType::kPid)] = 1;
  const auto document = features(old, "1", "c");
  EXPECT_FALSE(*document.linux_->mount_extensions_idmap->enabled);
  EXPECT_EQ(*document.linux_->namespaces, oci::Names{"pid"});
  EXPECT_EQ(document.linux_->capabilities->back(), "CAP_BPF");
  EXPECT_TRUE(*features(host(), "1", "c").linux_->mount_extensions_idmap->enabled);
}

TEST(Features, SaysWhereCriuIsIfItIsInstalled) {
  const testing::TemporaryDirectory directory;
  const std::string before = std::getenv("PATH");
  ::setenv("PATH", directory.path().c_str(), 1);
  EXPECT_FALSE(features(host(), "1", "c").annotations.contains("org.bulkhead.checkpoint.criu"));
  testing::write_text(directory / "criu", "", 0755);
  EXPECT_EQ(features(host(), "1", "c").annotations["org.bulkhead.checkpoint.criu"],
            directory / "criu");
  ::setenv("PATH", before.c_str(), 1);
}

}  // namespace
}  // namespace bulkhead::runtime
