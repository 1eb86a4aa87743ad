// cgroup v2 as a tree of plain files: what is written where, on any kernel. What the kernel makes
// of it is tested where v2 has the controllers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "isolation/cgroup/directory.h"
#include "isolation/cgroup/parent.h"
#include "isolation/cgroup/testing.h"

namespace bulkhead::isolation {
namespace {

using cgroup::value_of;

// A hierarchy that looks like cgroup v2 with one group /parent/id that is there already.
class FakeTree {
 public:
  FakeTree() {
    char name[] = "/tmp/bulkhead-fake-cgroup-XXXXXX";
    root_ = ::mkdtemp(name);
    directory("");
    directory("/parent");
    directory("/parent/id");
    file("/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n");
  }
  ~FakeTree() {
    for (auto path = made_.rbegin(); path != made_.rend(); ++path) ::remove(path->c_str());
  }
  void file(const std::string& path, std::string_view text = "") {
    const Fd file(::open((root_ + path).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    ASSERT_TRUE(write_all(file.get(), text.data(), text.size()));
    made_.push_back(root_ + path);
  }
  void leaf(std::initializer_list<const char*> files) {
    for (const char* name : files) file(std::string("/parent/id/") + name);
  }
  std::string leaf_value(const char* name) const {
    return value_of(leaf_path(), name).value_or("(missing)");
  }
  std::string value(const std::string& directory, const char* name) const {
    return value_of(root_ + directory, name).value_or("(missing)");
  }
  std::string leaf_path() const { return root_ + "/parent/id"; }
  HostFacts host() const {
    HostFacts host = testing::privileged_host(
        {{{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"}, root_, "/", "/", true}});
    return host;
  }

 private:
  void directory(const std::string& path) {
    ::mkdir((root_ + path).c_str(), 0755);
    made_.push_back(root_ + path);
    for (const char* name : {"/cgroup.procs", "/cgroup.subtree_control"}) file(path + name);
    if (path != "") file(path + "/cgroup.controllers");
  }
  std::string root_;
  std::vector<std::string> made_;
};

// Without the device program, which wants a real cgroup.
Result<CgroupLimits::Plan> plan_for(const oci::Resources& resources, const FakeTree& tree) {
  oci::Spec spec;
  spec.linux_.cgroups_path = "/parent/id";
  spec.linux_.resources = resources;
  auto plan = CgroupLimits::describe(Request{.spec = spec, .container_id = "id"}, tree.host());
  if (plan) plan->groups.front().device_program.reset();
  return plan;
}

TEST(UnifiedCgroup, LimitsLandInTheirFilesAndControllersAreEnabledFromTheRootDown) {
  FakeTree tree;
  tree.leaf({"memory.max", "memory.swap.max", "cpu.max", "pids.max", "io.weight", "io.max",
             "cpuset.cpus", "hugetlb.2MB.max"});
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{.limit = 4096, .swap = 8192};
  resources.cpu = oci::CpuLimits{.quota = 150000, .period = 50000, .cpus = "0-1"};
  resources.pids_limit = 7;
  resources.block_io = oci::BlockIoLimits{.weight = 1000};
  resources.hugepage_limits = {{"2MB", 0}};
  const auto plan = plan_for(resources, tree);
  ASSERT_TRUE(plan) << plan.error().message();
  auto set = CgroupSet::create(*plan);
  ASSERT_TRUE(set) << set.error().message();
  EXPECT_EQ(tree.leaf_value("memory.max"), "4096");
  EXPECT_EQ(tree.leaf_value("memory.swap.max"), "4096");
  EXPECT_EQ(tree.leaf_value("cpu.max"), "150000 50000");
  EXPECT_EQ(tree.leaf_value("cpuset.cpus"), "0-1");
  EXPECT_EQ(tree.leaf_value("pids.max"), "7");
  EXPECT_EQ(tree.leaf_value("io.weight"), "default 10000") << "where BFQ is missing";
  EXPECT_EQ(tree.leaf_value("hugetlb.2MB.max"), "0") << "reservations are a newer file";
  EXPECT_EQ(tree.value("", "cgroup.subtree_control"), "+memory +cpu +cpuset +pids +io +hugetlb");
  EXPECT_EQ(tree.value("/parent", "cgroup.subtree_control"),
            "+memory +cpu +cpuset +pids +io +hugetlb");
  EXPECT_EQ(tree.leaf_value("cgroup.subtree_control"), "") << "the container's own affair";
  EXPECT_GE(set->unified_directory(), 0);
}

TEST(UnifiedCgroup, ControllersThatAreThereAreNotEnabledAgain) {
  FakeTree tree;
  tree.leaf({"pids.max"});
  tree.file("/parent/id/cgroup.controllers", "cpu io memory pids\n");
  oci::Resources resources;
  resources.pids_limit = 7;
  const auto plan = plan_for(resources, tree);
  ASSERT_TRUE(plan);
  ASSERT_TRUE(CgroupSet::create(*plan));
  EXPECT_EQ(tree.value("", "cgroup.subtree_control"), "");
}

TEST(UnifiedCgroup, AFileThatTheKernelLacksIsNamed) {
  FakeTree tree;
  tree.leaf({"memory.max"});
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{.limit = 4096, .swap = 8192};
  auto plan = plan_for(resources, tree);
  ASSERT_TRUE(plan);
  auto refused = CgroupSet::create(*plan);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
  EXPECT_NE(refused.error().message().find("/linux/resources/memory/swap"), std::string::npos);
  EXPECT_NE(refused.error().hint().find("swapaccount=1"), std::string::npos);
  resources = {};
  resources.block_io = oci::BlockIoLimits{.weight = 100};
  plan = plan_for(resources, tree);
  ASSERT_TRUE(plan);
  refused = CgroupSet::create(*plan);
  ASSERT_FALSE(refused) << "neither BFQ's nor iocost's weight";
  EXPECT_NE(refused.error().message().find("/linux/resources/blockIO/weight"), std::string::npos);
}

TEST(UnifiedCgroup, AFrozenGroupThatIsThereIsNotTaken) {
  FakeTree tree;
  tree.file("/parent/id/cgroup.freeze", "1\n");
  const auto plan = plan_for({}, tree);
  ASSERT_TRUE(plan);
  const auto refused = CgroupSet::create(*plan);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("frozen"), std::string::npos);
}

TEST(UnifiedCgroup, TheContainersRootOwnsWhatTheKernelListsAndNoLimit) {
  SKIP_UNLESS_ROOT();
  FakeTree tree;
  tree.leaf({"memory.max", "cgroup.threads"});
  auto plan = plan_for({}, tree);
  ASSERT_TRUE(plan);
  plan->delegate_to = HostUid(12345);
  ASSERT_TRUE(CgroupSet::create(*plan));
  const auto owner = [&](const std::string& path) {
    struct stat status{};
    return ::stat((tree.leaf_path() + path).c_str(), &status) == 0 ? status.st_uid : 0;
  };
  EXPECT_EQ(owner(""), 12345U);
  EXPECT_EQ(owner("/cgroup.procs"), 12345U);
  EXPECT_EQ(owner("/cgroup.subtree_control"), 12345U);
  EXPECT_EQ(owner("/cgroup.threads"), 12345U);
  EXPECT_EQ(owner("/memory.max"), 0U);
}

TEST(UnifiedCgroup, StatisticsAreReadFromItsFiles) {
  FakeTree tree;
  tree.file(
      "/parent/id/cpu.stat",
      "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 4\nthrottled_usec 9\n");
  tree.file("/parent/id/memory.current", "4096\n");
  tree.file("/parent/id/memory.peak", "8192\n");
  tree.file("/parent/id/memory.max", "max\n");
  tree.file("/parent/id/memory.events", "low 0\nhigh 0\nmax 2\noom 1\noom_kill 3\n");
  tree.file("/parent/id/memory.stat", "anon 1\nfile 77\n");
  tree.file("/parent/id/pids.current", "2\n");
  tree.file("/parent/id/pids.max", "max\n");
  tree.file("/parent/id/io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n259:1 \n");
  tree.file("/parent/id/memory.pressure",
            "some avg10=1.50 avg60=0.25 avg300=0.00 total=99\nfull avg10=0.00 avg60=0.00 "
            "avg300=0.00 total=1\n");
  const auto set = CgroupSet::open(std::vector{":" + tree.leaf_path()});
  ASSERT_TRUE(set);
  const CgroupStats stats = set->stats();
  EXPECT_EQ(stats.cpu.usage_ns, 5000U);
  EXPECT_EQ(stats.cpu.throttled_periods, 4U);
  EXPECT_EQ(stats.cpu.throttled_ns, 9000U);
  EXPECT_EQ(stats.memory.memory.peak, 8192U);
  EXPECT_EQ(stats.memory.memory.limit, UINT64_MAX);
  EXPECT_EQ(stats.memory.oom_kills, 3U);
  EXPECT_EQ(stats.memory.cache, 77U);
  EXPECT_EQ(stats.pids.limit, UINT64_MAX);
  ASSERT_EQ(stats.block_io.service_bytes.size(), 3U);
  EXPECT_EQ(stats.block_io.service_bytes[1].operation, "Write");
  EXPECT_EQ(stats.block_io.service_bytes[1].value, 2U);
  ASSERT_TRUE(stats.memory.pressure);
  EXPECT_DOUBLE_EQ(stats.memory.pressure->some.avg10, 1.5);
  EXPECT_DOUBLE_EQ(stats.memory.pressure->some.avg60, 0.25);
  EXPECT_EQ(stats.memory.pressure->full.total, 1U);
}

TEST(UnifiedCgroup, AnUpdateCompletesWhatTheFileHoldsTogether) {
  FakeTree tree;
  tree.file("/parent/id/cpu.max", "20000 100000\n");
  tree.file("/parent/id/memory.max", "4096\n");
  tree.leaf({"memory.swap.max"});
  const auto set = CgroupSet::open(std::vector{":" + tree.leaf_path()});
  ASSERT_TRUE(set);
  oci::Resources change;
  change.cpu = oci::CpuLimits{.period = 50000};
  change.memory = oci::MemoryLimits{.swap = 5096};
  const auto updated = set->update(change);
  ASSERT_TRUE(updated) << updated.error().message();
  EXPECT_TRUE(tree.leaf_value("cpu.max").starts_with("20000 50000"));
  EXPECT_EQ(tree.leaf_value("memory.swap.max"), "1000");
}

TEST(UnifiedCgroup, AnUpdateThatFailsPutsKeyedValuesBack) {
  FakeTree tree;
  tree.file("/parent/id/pids.max", "100\n");
  const auto set = CgroupSet::open(std::vector{":" + tree.leaf_path()});
  ASSERT_TRUE(set);
  oci::Resources change;
  change.pids_limit = 999;
  change.block_io = oci::BlockIoLimits{.weight = 100};  // no such file here
  const auto refused = set->update(change);
  ASSERT_FALSE(refused);
  EXPECT_EQ(tree.leaf_value("pids.max").substr(0, 3), "100");
}

}  // namespace
}  // namespace bulkhead::isolation
