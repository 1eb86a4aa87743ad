#include "isolation/cgroup/resctrl.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace bulkhead::isolation {
namespace {

namespace fs = std::filesystem;

// A directory that stands for the file system: groups are directories, and their files keep what is
// written to them.
class Resctrl : public testing::Test {
 protected:
  Resctrl() {
    std::string pattern = (fs::temp_directory_path() / "bulkhead-resctrl-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~Resctrl() override { fs::remove_all(root_); }

  void make_class(const std::string& name, const std::string& schemata) const {
    fs::create_directory(fs::path(root_) / name);
    std::ofstream(fs::path(root_) / name / "schemata") << schemata;
  }
  std::string text(const std::string& file) const {
    std::stringstream all;
    all << std::ifstream(fs::path(root_) / file).rdbuf();
    return all.str();
  }
  bool exists(const std::string& name) const { return fs::exists(fs::path(root_) / name); }
  Result<void> join(oci::IntelRdt rdt) {
    oci::Spec spec;
    spec.linux_.intel_rdt = std::move(rdt);
    TRY_ASSIGN(plan_, describe_resctrl(spec, "web", root_));
    return join_resctrl(*plan_, HostPid(42));
  }

  std::string root_;
  std::optional<ResctrlPlan> plan_;
};

TEST_F(Resctrl, GivesTheContainerAGroupOfItsOwn) {
  const auto joined = join({.l3_cache_schema = "L3:0=f;1=ff", .mem_bw_schema = "MB:0=20"});
  ASSERT_TRUE(joined) << joined.error().message();
  EXPECT_EQ(text("web/schemata"), "L3:0=f;1=ff\nMB:0=20\n");
  EXPECT_EQ(text("web/tasks"), "42");
  EXPECT_EQ(resctrl_record(*plan_), std::vector<std::string>{root_ + "/web"});
}

TEST_F(Resctrl, WritesTheOlderFieldsBeforeTheNewerOne) {
  ASSERT_TRUE(join({.schemata = {"L2:0=3", "MB:1=5"},
                    .l3_cache_schema = "L3:0=f\nMB:0=100",
                    .mem_bw_schema = "MB:0=20"}));
  EXPECT_EQ(text("web/schemata"), "L3:0=f\nMB:0=20\nL2:0=3\nMB:1=5\n");
}

TEST_F(Resctrl, JoinsAClassThatIsThere) {
  make_class("gold", "    L3:0=fffff;1=fffff\n");
  ASSERT_TRUE(join({.clos_id = "gold"}));
  EXPECT_EQ(text("gold/tasks"), "42");
  EXPECT_TRUE(resctrl_record(*plan_).empty()) << "it is not the container's to remove";
}

TEST_F(Resctrl, RefusesAClassThatIsNotThere) {
  const auto joined = join({.clos_id = "gold"});
  ASSERT_FALSE(joined);
  EXPECT_NE(joined.error().message().find("/closID"), std::string::npos);
  EXPECT_FALSE(exists("gold"));
}

TEST_F(Resctrl, ComparesTheSharesOfAClassThatIsThere) {
  make_class("gold", "    MB:0= 20;1=100\n    L3:0=0000f;1=fffff\n");
  EXPECT_TRUE(join({.clos_id = "gold", .l3_cache_schema = "L3:0=f"}));
  const auto joined = join({.clos_id = "gold", .l3_cache_schema = "L3:0=ff"});
  ASSERT_FALSE(joined);
  EXPECT_NE(joined.error().message().find("does not have \"L3:0=ff\""), std::string::npos)
      << joined.error().message();
  EXPECT_TRUE(exists("gold/schemata"));
}

TEST_F(Resctrl, MakesAMonitoringGroup) {
  make_class("gold", "L3:0=f\n");
  fs::create_directory(fs::path(root_) / "gold" / "mon_groups");
  ASSERT_TRUE(join({.clos_id = "gold", .enable_monitoring = true}));
  EXPECT_EQ(text("gold/mon_groups/web/tasks"), "42");
  EXPECT_EQ(resctrl_record(*plan_), std::vector<std::string>{root_ + "/gold/mon_groups/web"});
}

TEST_F(Resctrl, LeavesNothingWhenMonitoringIsRefused) {
  // No mon_groups: a kernel without monitoring.
  EXPECT_FALSE(join({.enable_monitoring = true}));
  EXPECT_FALSE(exists("web/mon_groups/web"));
}

TEST_F(Resctrl, RefusesTheIdOfAnotherGroup) {
  make_class("web", "L3:0=f\n");
  EXPECT_FALSE(join({.l3_cache_schema = "L3:0=f"}));
}

TEST_F(Resctrl, ForgivesWhatIsGone) {
  EXPECT_TRUE(remove_resctrl({root_ + "/none"}));
  fs::create_directory(fs::path(root_) / "web");
  EXPECT_TRUE(remove_resctrl({root_ + "/web"}));
  EXPECT_FALSE(exists("web"));
}

TEST(ResctrlMount, IsFoundByItsType) {
  EXPECT_EQ(
      resctrl_mount("22 1 0:21 / /proc rw - proc proc rw\n"
                    "30 22 0:30 / /sys/fs/resctrl rw,relatime shared:9 - resctrl resctrl rw\n"),
      "/sys/fs/resctrl");
  EXPECT_EQ(resctrl_mount("22 1 0:21 / /proc rw - proc proc rw\n"), std::nullopt);
}

TEST(ResctrlPlan, TakesASlashForTheDefaultClass) {
  oci::Spec spec;
  spec.linux_.intel_rdt.emplace().clos_id = "/";
  const auto plan = describe_resctrl(spec, "web", "/sys/fs/resctrl");
  ASSERT_TRUE(plan && *plan);
  EXPECT_EQ((*plan)->group, "/sys/fs/resctrl");
  EXPECT_TRUE((*plan)->must_exist);
  EXPECT_FALSE((*plan)->own);
}

TEST(ResctrlPlan, IsRefusedWhereThereIsNoResctrl) {
  oci::Spec spec;
  EXPECT_FALSE(describe_resctrl(spec, "web", std::nullopt).value());
  spec.linux_.intel_rdt.emplace();
  const auto plan = describe_resctrl(spec, "web", std::nullopt);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind(), ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace bulkhead::isolation
