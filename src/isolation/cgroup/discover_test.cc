#include "isolation/cgroup/discover.h"

#include <gtest/gtest.h>

namespace bulkhead::isolation {
namespace {

std::string text(const std::vector<CgroupHierarchy>& hierarchies) {
  std::string text;
  for (const CgroupHierarchy& one : hierarchies) {
    std::string controllers;
    for (const std::string& controller : one.controllers)
      controllers.append(controllers.empty() ? "" : ",").append(controller);
    text.append(one.v2 ? "v2" : controllers)
        .append(" ")
        .append(one.mount_point)
        .append(" ")
        .append(one.mount_root)
        .append(" ")
        .append(one.own_path)
        .append("\n");
  }
  return text;
}

TEST(CgroupDiscovery, ReadsAHybridHost) {
  EXPECT_EQ(text(parse_cgroup_hierarchies(
                "30 23 0:28 / / rw - ext4 /dev/vda rw\n"
                "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup "
                "rw,cpu,cpuacct\n"
                "33 31 0:35 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
                "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
                "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n",
                "9:name=systemd:/\n4:memory:/a/b\n1:cpu,cpuacct:/user.slice\n0::/c\n")),
            "name=systemd /sys/fs/cgroup/systemd / /\n"
            "memory /sys/fs/cgroup/memory / /a/b\n"
            "cpu,cpuacct /sys/fs/cgroup/cpu,cpuacct / /user.slice\n"
            "v2 /sys/fs/cgroup/unified / /c\n");
}

TEST(CgroupDiscovery, ReadsAVersionTwoHost) {
  EXPECT_EQ(text(parse_cgroup_hierarchies("25 24 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                                          "0::/user.slice/a\n")),
            "v2 /sys/fs/cgroup / /user.slice/a\n");
}

TEST(CgroupDiscovery, TakesTheMountThatShowsMost) {
  EXPECT_EQ(text(parse_cgroup_hierarchies("1 0 0:1 /a /one rw - cgroup cgroup rw,pids\n"
                                          "2 0 0:1 / /two rw - cgroup cgroup rw,pids\n"
                                          "3 0 0:1 /a/b /three rw - cgroup cgroup rw,pids\n",
                                          "1:pids:/a/b/c\n")),
            "pids /two / /a/b/c\n");
  EXPECT_EQ(text(parse_cgroup_hierarchies("1 0 0:1 /other /one rw - cgroup cgroup rw,pids\n"
                                          "3 0 0:1 /a/b /three rw - cgroup cgroup rw,pids\n",
                                          "1:pids:/a/b/c\n")),
            "pids /three /a/b /c\n");
}

TEST(CgroupDiscovery, AMountOverAnotherHidesIt) {
  EXPECT_EQ(text(parse_cgroup_hierarchies("1 0 0:1 / /one rw - cgroup cgroup rw,pids\n"
                                          "2 1 0:1 /a /one rw - cgroup cgroup rw,pids\n",
                                          "1:pids:/a/b\n")),
            "pids /one /a /b\n");
}

TEST(CgroupDiscovery, LeavesOutWhatCannotBeReached) {
  EXPECT_EQ(text(parse_cgroup_hierarchies("1 0 0:1 /ab /one rw - cgroup cgroup rw,pids\n",
                                          "1:pids:/a\n0::/x\n")),
            "");
  EXPECT_EQ(text(parse_cgroup_hierarchies("1 0 0:1 /../x /one rw - cgroup2 cgroup rw\n", "0::/\n")),
            "");
}

TEST(CgroupDiscovery, InsideACgroupNamespaceOwnGroupsOutsideAreTheRoot) {
  EXPECT_EQ(text(parse_cgroup_hierarchies("1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
                                          "0::/../x\n")),
            "v2 /sys/fs/cgroup / /\n");
}

TEST(CgroupDiscovery, UnescapesAndSurvivesOddLines) {
  EXPECT_EQ(text(parse_cgroup_hierarchies(
                "garbage\n\n - cgroup\n1 2 - cgroup cgroup\n"
                "1 0 0:1 / relative rw - cgroup cgroup rw,pids\n"
                "1 0 0:1 / /a\\040b\\134c\\999 rw - cgroup cgroup rw,pids",
                "x:pids:/\n1:pids\n1:pids:\n1:pids:relative\n7::/v2-has-number-0\n1:pids:/a:b")),
            "pids /a b\\c\\999 / /a:b\n");
}

TEST(CgroupDiscovery, FindsThisHostsHierarchies) {
  const auto found = discover_cgroup_hierarchies();
  ASSERT_TRUE(found) << found.error().message();
  for (const CgroupHierarchy& one : *found) {
    EXPECT_TRUE(one.mount_point.starts_with('/'));
    EXPECT_TRUE(one.own_path.starts_with('/'));
  }
}

}  // namespace
}  // namespace bulkhead::isolation
