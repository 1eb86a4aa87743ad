#include "isolation/cgroup/paths.h"

#include <gtest/gtest.h>

namespace bulkhead::isolation::cgroup {
namespace {

TEST(CgroupPaths, AnAbsolutePathIsTakenAsItIs) {
  const auto path = group_path("/a/b", "id");
  ASSERT_TRUE(path);
  EXPECT_EQ(path->path, "/a/b");
  EXPECT_FALSE(path->beneath_parent);
}

TEST(CgroupPaths, ARelativePathAndNoneGoBeneathTheRuntimesParent) {
  const auto relative = group_path("a//./b/", "id");
  ASSERT_TRUE(relative);
  EXPECT_EQ(relative->path, "/a/b");
  EXPECT_TRUE(relative->beneath_parent);
  const auto none = group_path("", "id");
  ASSERT_TRUE(none);
  EXPECT_EQ(none->path, "/id");
  EXPECT_TRUE(none->beneath_parent);
}

TEST(CgroupPaths, PathsThatLeadElsewhereAreRefused) {
  for (const char* path :
       {"/..", "/a/../../b", "..", "a/..", "/", "//", "/.", ".", "/a\nb", "/a\x01", "/\x7f"})
    EXPECT_FALSE(group_path(path, "id")) << path;
  EXPECT_FALSE(group_path("/" + std::string(256, 'a'), "id"));
  EXPECT_TRUE(group_path("/" + std::string(255, 'a'), "id"));
  std::string deep;
  for (int i = 0; i < 2000; ++i) deep += "/a";
  EXPECT_FALSE(group_path(deep, "id"));
}

TEST(CgroupPaths, NamesWithDotsAndColonsAreNames) {
  EXPECT_TRUE(group_path("/..a/b..", "id"));
  EXPECT_TRUE(group_path("/docker/a:b:c", "id"));
  EXPECT_TRUE(group_path("a:b", "id"));
}

TEST(CgroupPaths, TheSystemdFormIsRefusedByName) {
  for (const char* path : {"system.slice:docker:1234", ":runc:id", "a::b"}) {
    const auto refused = group_path(path, "id");
    ASSERT_FALSE(refused) << path;
    EXPECT_NE(refused.error().message().find("slice:prefix:name"), std::string::npos);
    EXPECT_NE(refused.error().message().find("cgroupfs"), std::string::npos);
  }
}

}  // namespace
}  // namespace bulkhead::isolation::cgroup
