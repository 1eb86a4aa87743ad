#include "isolation/mounts/place.h"

#include <gtest/gtest.h>

namespace bulkhead::isolation {
namespace {

oci::Mount mount(std::string destination, std::string type, std::vector<std::string> options = {}) {
  return {std::move(destination), std::move(type), "x", std::move(options), {}, {}};
}

oci::Spec usual() {
  oci::Spec spec;
  spec.mounts = {mount("/proc", "proc"),
                 mount("/dev", "tmpfs"),
                 mount("/dev/pts", "devpts"),
                 mount("/sys", "sysfs"),
                 mount("/sys/fs/cgroup", "cgroup"),
                 mount("/data", "bind"),
                 mount("/data/tmp", "tmpfs")};
  return spec;
}

TEST(CleanPath, IsAbsoluteAndNeverLeadsAboveTheRoot) {
  EXPECT_EQ(clean_path("/a/./b//c/"), "/a/b/c");
  EXPECT_EQ(clean_path("a/b"), "/a/b");
  EXPECT_EQ(clean_path("/../../etc"), "/etc");
  EXPECT_EQ(clean_path("/a/../.."), "/");
  EXPECT_EQ(clean_path(""), "/");
}

TEST(CleanPath, BeneathMeansWholeComponents) {
  EXPECT_TRUE(is_at_or_beneath("/proc/sys", "/proc"));
  EXPECT_TRUE(is_at_or_beneath("/proc", "/proc"));
  EXPECT_TRUE(is_at_or_beneath("/x", "/"));
  EXPECT_FALSE(is_at_or_beneath("/procfs", "/proc"));
}

TEST(MountLayout, PlacesInFreshFileSystemsAreReachedThroughThem) {
  const auto spec = usual();
  const MountLayout layout(spec);
  const Place proc = layout.place_of("/proc/sys/kernel");
  EXPECT_EQ(proc.anchor, Anchor::kProc);
  EXPECT_EQ(proc.path, "sys/kernel");
  EXPECT_EQ(layout.place_of("/dev/pts/ptmx").anchor, Anchor::kDevPts);
  EXPECT_EQ(layout.place_of("/dev/null").anchor, Anchor::kDev);
  EXPECT_EQ(layout.place_of("/sys/firmware").anchor, Anchor::kSys);
  // What the cgroup mount and the volume hold is nobody's promise.
  EXPECT_EQ(layout.place_of("/sys/fs/cgroup/cpu").anchor, Anchor::kRoot);
  EXPECT_EQ(layout.place_of("/data/tmp/x").anchor, Anchor::kRoot);
  EXPECT_EQ(layout.place_of("/etc/hosts").path, "etc/hosts");
  EXPECT_EQ(layout.place_of("/").path, ".");
}

TEST(MountLayout, OnlyMountsBeforeAPlaceCount) {
  const auto spec = usual();
  const MountLayout layout(spec);
  EXPECT_EQ(layout.place_of("/dev/pts", 2).anchor, Anchor::kDev);
  EXPECT_EQ(layout.place_of("/dev/pts", 1).anchor, Anchor::kRoot);
  // A mount point itself belongs to what lies around it.
  EXPECT_EQ(layout.place_of("/proc").anchor, Anchor::kRoot);
}

TEST(MountLayout, ALaterMountAboveHidesAnEarlierOneBeneath) {
  oci::Spec spec;
  spec.mounts = {mount("/dev/pts", "devpts"), mount("/dev", "bind"), mount("/proc", "proc"),
                 mount("/", "tmpfs")};
  const MountLayout layout(spec);
  EXPECT_EQ(layout.place_of("/dev/pts/ptmx").anchor, Anchor::kRoot);
  EXPECT_TRUE(layout.is_hidden(0));
  EXPECT_FALSE(layout.is_hidden(3));
  EXPECT_EQ(layout.place_of("/proc/sys").anchor, Anchor::kRoot);
}

TEST(MountLayout, OnlyWhatTheKernelFillsIsTrusted) {
  oci::Spec spec;
  spec.mounts = {mount("/proc", "bind"), mount("/dev", "tmpfs", {"tmpcopyup"}),
                 mount("/sys", "sysfs", {"rbind"})};
  const MountLayout layout(spec);
  EXPECT_EQ(layout.place_of("/proc/kcore").anchor, Anchor::kRoot);
  EXPECT_EQ(layout.place_of("/dev/null").anchor, Anchor::kRoot);
  EXPECT_EQ(layout.place_of("/sys/firmware").anchor, Anchor::kRoot);
}

TEST(MountLayout, AUserNamespaceWithoutItsOwnNetworkBindsTheHostsSys) {
  auto spec = usual();
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
  EXPECT_TRUE(binds_host_sysfs(spec));
  EXPECT_EQ(MountLayout(spec).place_of("/sys/firmware").anchor, Anchor::kRoot);
  spec.linux_.namespaces.push_back({oci::NamespaceType::kNetwork, ""});
  EXPECT_FALSE(binds_host_sysfs(spec));
  spec.linux_.namespaces.back().path = "/run/netns/x";
  EXPECT_TRUE(binds_host_sysfs(spec));
  spec.linux_.namespaces.front().path = "/proc/1/ns/user";
  EXPECT_FALSE(binds_host_sysfs(spec));
}

}  // namespace
}  // namespace bulkhead::isolation
