#include "engine/sharing.h"

#include <gtest/gtest.h>

namespace bulkhead::engine {
namespace {

TEST(Sharing, IsOfNothingByDefault) {
  const auto sharing = read_sharing({});
  ASSERT_TRUE(sharing);
  for (const NamespaceChoice* choice :
       {&sharing->user, &sharing->pid, &sharing->ipc, &sharing->uts, &sharing->cgroup})
    EXPECT_TRUE(choice->own());
  EXPECT_TRUE(sharing->shm);
  EXPECT_EQ(sharing->clocks_begin, 0);
  EXPECT_TRUE(sharing->joined().empty());
}

TEST(Sharing, IsReadAsDockersUsersWriteIt) {
  RunOptions options;
  options.pid_namespace = "container:web";
  options.ipc_namespace = "container:web";
  options.uts_namespace = "host";
  options.cgroup_namespace = "private";
  options.time_offset = "48h";
  options.cgroup_parent = "batch//nightly/";
  const auto sharing = read_sharing(options);
  ASSERT_TRUE(sharing) << sharing.error().message();
  EXPECT_EQ(sharing->joined(), "web");
  EXPECT_TRUE(sharing->uts.host());
  EXPECT_TRUE(sharing->cgroup.own());
  EXPECT_EQ(sharing->clocks_begin, 48 * 3600);
  EXPECT_EQ(sharing->cgroup_parent, "/batch/nightly");
}

TEST(Sharing, OpensTheIdsOfAPrivilegedContainerUnlessToldOtherwise) {
  RunOptions options;
  options.privileged = true;
  EXPECT_TRUE(read_sharing(options)->user.host());
  options.user_namespace = "private";
  EXPECT_TRUE(read_sharing(options)->user.own());
}

TEST(Sharing, RefusesWhatItDoesNotKnowAndWhatContradicts) {
  using Change = void (*)(RunOptions&);
  for (const Change change :
       std::vector<Change>{[](RunOptions& o) { o.pid_namespace = "banana"; },
                           [](RunOptions& o) { o.pid_namespace = "container:"; },
                           [](RunOptions& o) { o.pid_namespace = "container:../x"; },
                           [](RunOptions& o) { o.uts_namespace = "container:web"; },
                           [](RunOptions& o) { o.user_namespace = "keep-id"; },
                           [](RunOptions& o) { o.ipc_namespace = "public"; },
                           [](RunOptions& o) {
                             o.pid_namespace = "container:a";
                             o.ipc_namespace = "container:b";
                           },
                           [](RunOptions& o) {
                             o.uts_namespace = "host";
                             o.hostname = "x";
                           },
                           [](RunOptions& o) {
                             o.ipc_namespace = "none";
                             o.shm_size = "1m";
                           },
                           [](RunOptions& o) { o.time_offset = "1500ms"; },
                           [](RunOptions& o) { o.time_offset = "yesterday"; },
                           [](RunOptions& o) { o.cgroup_parent = "../x"; },
                           [](RunOptions& o) { o.cgroup_parent = "/"; },
                           [](RunOptions& o) { o.cgroup_parent = "my.slice"; }}) {
    RunOptions options;
    change(options);
    const auto sharing = read_sharing(options);
    ASSERT_FALSE(sharing);
    EXPECT_EQ(sharing.error().kind(), ErrorKind::kUsage);
    EXPECT_TRUE(sharing.error().message().starts_with("--") ||
                sharing.error().message().starts_with("namespaces"))
        << sharing.error().message();
  }
}

TEST(Sysctls, AreNamesAndValues) {
  const auto settings = read_sysctls({"net.ipv4.ip_forward=1", "kernel.sem=1 2 3 4"});
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->at("kernel.sem"), "1 2 3 4");
  for (const char* text :
       {"", "net.ipv4.ip_forward", "=1", "net.ipv4.ip_forward=", "x=1", "net..x=1", "net/../x=1"})
    EXPECT_FALSE(read_sysctls({text})) << text;
}

}  // namespace
}  // namespace bulkhead::engine
