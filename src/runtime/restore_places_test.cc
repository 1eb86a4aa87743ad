#include "runtime/restore_places.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

using testing::TemporaryDirectory;

bool is_directory(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

TEST(RestorePlaces, MissingMountPointsAreMadeInTheRoot) {
  const TemporaryDirectory root;
  const TemporaryDirectory host;
  testing::write_text(host / "file", "");
  ASSERT_EQ(::symlink("/etc", (root / "leads").c_str()), 0);
  oci::Spec spec;
  spec.mounts = {{.destination = "/proc", .type = "proc"},
                 {.destination = "/data/deep", .type = "bind", .source = host.path()},
                 {.destination = "/data/deep/inner", .type = "tmpfs"},
                 {.destination = "/hosts", .type = "bind", .source = "file"},
                 {.destination = "/leads/made", .type = "tmpfs"},
                 {.destination = "/", .type = "bind", .source = "/"}};
  const auto made = make_mount_points(spec, root.path(), host.path());
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_TRUE(is_directory(root / "proc"));
  EXPECT_TRUE(is_directory(root / "data/deep"));
  EXPECT_FALSE(is_directory(root / "data/deep/inner"));
  EXPECT_FALSE(is_directory(host / "inner"));
  struct stat status{};
  ASSERT_EQ(::lstat((root / "hosts").c_str(), &status), 0);
  EXPECT_TRUE(S_ISREG(status.st_mode));
  // A link of the image does not lead out of it.
  EXPECT_TRUE(is_directory(root / "etc/made"));
  EXPECT_FALSE(is_directory("/etc/made"));
}

TEST(RestorePlaces, EveryHierarchyHasARootForTheContainersGroups) {
  isolation::CgroupLimits::Plan plan;
  plan.groups.resize(2);
  plan.groups[0].version = isolation::CgroupVersion::kV2;
  plan.groups[0].proc_entry = ":/parent/id";
  plan.groups[1].proc_entry = "cpu,cpuacct:/parent/id";
  using Roots = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(cgroup_roots(plan, "5:cpu,cpuacct:/user\n3:name=systemd:/user/s\n0::/user\n"),
            (Roots{{"cpu", "/parent/id"},
                   {"cpuacct", "/parent/id"},
                   {"name=systemd", "/user/s"},
                   {"", "/parent/id"}}));
  EXPECT_EQ(cgroup_roots({}, "0::/a:b\n"), (Roots{{"", "/a:b"}}));
}

}  // namespace
}  // namespace bulkhead::runtime
