#include "isolation/cgroup/cgroup.h"

#include <gtest/gtest.h>
#include <sched.h>

#include "isolation/cgroup/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::LiveGroups;
using testing::TestChild;

CgroupHierarchy v1(std::vector<std::string> controllers, const std::string& name,
                   const std::string& own = "/") {
  return {std::move(controllers), "/sys/fs/cgroup/" + name, "/", own, false};
}
CgroupHierarchy v2(std::vector<std::string> controllers, const std::string& where,
                   const std::string& own = "/") {
  return {std::move(controllers), where, "/", own, true};
}

HostFacts hybrid_host() {
  return testing::privileged_host({v1({"cpu", "cpuacct"}, "cpu,cpuacct"), v1({"cpuset"}, "cpuset"),
                                   v1({"memory"}, "memory", "/own"), v1({"devices"}, "devices"),
                                   v1({"pids"}, "pids"), v1({"blkio"}, "blkio"),
                                   v2({"hugetlb"}, "/sys/fs/cgroup/unified")});
}
HostFacts v2_host() {
  return testing::privileged_host({v2({"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"},
                                      "/sys/fs/cgroup", "/user.slice")});
}

oci::Spec engine_spec() {
  oci::Spec spec;
  spec.linux_.cgroups_path = "/parent/id";
  spec.linux_.namespaces = {{oci::NamespaceType::kCgroup, ""}};
  oci::Resources resources;
  resources.devices = {{false, "a", {}, {}, "rwm"}};
  resources.memory = oci::MemoryLimits{.limit = 536870912, .swap = 1073741824};
  resources.cpu = oci::CpuLimits{.quota = 150000, .period = 100000};
  resources.pids_limit = 2048;
  spec.linux_.resources = resources;
  return spec;
}

std::string text(const Result<CgroupLimits::Plan>& plan) {
  if (!plan) return "error: " + plan.error().message();
  std::string text;
  for (const CgroupGroup& group : plan->groups) {
    text.append(group.name())
        .append(" ")
        .append(group.membership)
        .append(" ")
        .append(group.proc_entry);
    if (group.may_stay) text.append(" or ").append(group.stay_entry);
    text.append("\n");
    for (const CgroupSetting& setting : group.settings) {
      std::string value = setting.value;
      for (char& c : value)
        if (c == '\n') c = ',';
      text.append("  ")
          .append(setting.file)
          .append(" = ")
          .append(value)
          .append(" # ")
          .append(setting.why)
          .append("\n");
    }
    if (!group.needed_controllers.empty()) {
      text.append("  needs");
      for (const std::string& controller : group.needed_controllers)
        text.append(" ").append(controller);
      text.append("\n");
    }
    if (group.device_program) text.append("  device program\n");
  }
  for (const Fact& fact : plan->left_out)
    text.append("left out: ").append(fact.name).append(" ").append(fact.value).append("\n");
  return text;
}

std::string described(const oci::Spec& spec, const HostFacts& host,
                      CgroupDriver driver = CgroupDriver::kCgroupfs, Defaults defaults = {}) {
  return text(CgroupLimits::describe(
      Request{.spec = spec, .container_id = "id", .cgroup_driver = driver, .defaults = defaults},
      host));
}

TEST(CgroupPlan, OnAHybridHostEveryHierarchyHasAGroup) {
  EXPECT_EQ(described(engine_spec(), hybrid_host()),
            "cgroup v2 /sys/fs/cgroup/unified/parent/id/cgroup.procs :/parent/id\n"
            "cpu,cpuacct /sys/fs/cgroup/cpu,cpuacct/parent/id/tasks cpu,cpuacct:/parent/id\n"
            "  cpu.cfs_quota_us = 150000 # /linux/resources/cpu/quota\n"
            "cpuset /sys/fs/cgroup/cpuset/parent/id/tasks cpuset:/parent/id\n"
            "memory /sys/fs/cgroup/memory/parent/id/tasks memory:/parent/id\n"
            "  memory.limit_in_bytes = 536870912 # /linux/resources/memory/limit\n"
            "  memory.memsw.limit_in_bytes = 1073741824 # /linux/resources/memory/swap\n"
            "devices /sys/fs/cgroup/devices/parent/id/tasks devices:/parent/id\n"
            "  devices.deny = a # /linux/resources/devices\n"
            "  devices.allow = c *:* m,b *:* m,c 1:3 rwm,c 1:5 rwm,c 1:7 rwm,c 1:8 rwm,c 1:9 rwm,c "
            "5:0 rwm,"
            "c 5:1 rwm,c 5:2 rwm,c 136:* rwm # /linux/resources/devices\n"
            "pids /sys/fs/cgroup/pids/parent/id/tasks pids:/parent/id\n"
            "  pids.max = 2048 # /linux/resources/pids/limit\n"
            "blkio /sys/fs/cgroup/blkio/parent/id/tasks blkio:/parent/id\n");
}

TEST(CgroupPlan, OnAVersionTwoHostOneGroupCarriesAll) {
  EXPECT_EQ(described(engine_spec(), v2_host()),
            "cgroup v2 /sys/fs/cgroup/parent/id/cgroup.procs :/parent/id\n"
            "  memory.max = 536870912 # /linux/resources/memory/limit\n"
            "  memory.swap.max = 536870912 # /linux/resources/memory/swap\n"
            "  cpu.max = 150000 100000 # /linux/resources/cpu/quota\n"
            "  pids.max = 2048 # /linux/resources/pids/limit\n"
            "  needs memory cpu pids\n"
            "  device program\n");
}

TEST(CgroupPlan, UnifiedKeysAndHugePagesGoToTheHierarchyThatHasThem) {
  oci::Spec spec;
  spec.linux_.resources.emplace();
  spec.linux_.resources->hugepage_limits = {{"2MB", 4096}};
  spec.linux_.resources->unified = {{"hugetlb.1GB.max", "0"}, {"cgroup.max.depth", "3"}};
  const std::string plan = described(spec, hybrid_host());
  EXPECT_NE(plan.find("cgroup v2 /sys/fs/cgroup/unified/bulkhead-runtime/id/cgroup.procs "
                      ":/bulkhead-runtime/id\n"
                      "  hugetlb.2MB.max = 4096 # /linux/resources/hugepageLimits/0\n"
                      "  hugetlb.2MB.rsvd.max = 4096 # /linux/resources/hugepageLimits/0\n"
                      "  cgroup.max.depth = 3 # /linux/resources/unified/cgroup.max.depth\n"
                      "  hugetlb.1GB.max = 0 # /linux/resources/unified/hugetlb.1GB.max\n"
                      "  needs hugetlb\n"),
            std::string::npos)
      << plan;
  spec.linux_.resources->unified = {{"memory.high", "4096"}};
  EXPECT_TRUE(
      described(spec, hybrid_host()).starts_with("error: /linux/resources/unified/memory.high"));
}

TEST(CgroupPlan, ADeviceListThatVersionOneCannotExpressBecomesAProgram) {
  oci::Spec spec = engine_spec();
  spec.linux_.resources->devices = {
      {false, "a", {}, {}, "rwm"}, {true, "b", 8, {}, "rw"}, {false, "b", 8, 1, "w"}};
  const std::string plan = described(spec, hybrid_host());
  EXPECT_NE(plan.find("  device program\n"), std::string::npos) << plan;
  EXPECT_EQ(plan.find("devices.deny"), std::string::npos) << plan;
  HostFacts host = testing::privileged_host({v1({"devices"}, "devices"), v1({"memory"}, "memory"),
                                             v1({"cpu"}, "cpu"), v1({"pids"}, "pids")});
  EXPECT_TRUE(described(spec, host)
                  .starts_with("error: /linux/resources/devices: a rule takes devices out"));
}

TEST(CgroupPlan, WithoutPrivilegeTheGroupLiesBeneathTheCallersAndMayBeMissing) {
  HostFacts host = v2_host();
  host.effective_capabilities = 0;
  oci::Spec spec;
  EXPECT_EQ(described(spec, host),
            "cgroup v2 /sys/fs/cgroup/user.slice/bulkhead-runtime/id/cgroup.procs "
            ":/user.slice/bulkhead-runtime/id or :/user.slice\n");
  // What was asked for must be set; a mere default may be left out.
  spec.linux_.resources.emplace().pids_limit = 5;
  EXPECT_EQ(described(spec, host).find(" or "), std::string::npos);
  EXPECT_NE(described(spec, host, CgroupDriver::kCgroupfs, {.cgroup_limits = true}).find(" or "),
            std::string::npos);
}

TEST(CgroupPlan, AMissingControllerIsRefusedUnlessTheLimitIsADefault) {
  HostFacts host = testing::privileged_host({v1({"devices"}, "devices")});
  oci::Spec spec;
  spec.linux_.resources.emplace().pids_limit = 5;
  EXPECT_TRUE(described(spec, host).starts_with("error: /linux/resources/pids/limit"));
  EXPECT_NE(described(spec, host, CgroupDriver::kCgroupfs, {.cgroup_limits = true})
                .find("left out: pids"),
            std::string::npos);
}

TEST(CgroupPlan, SwitchedOffNothingIsMadeAndNoLimitIsForgotten) {
  oci::Spec spec;
  spec.linux_.resources.emplace().devices = {{false, "a", {}, {}, "rwm"}};
  const auto plan = CgroupLimits::describe(
      Request{.spec = spec, .container_id = "id", .cgroup_driver = CgroupDriver::kDisabled},
      hybrid_host());
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->groups.empty());
  EXPECT_EQ(plan->standing, Standing::kOpened);
  EXPECT_FALSE(plan->reason.empty());
  EXPECT_TRUE(described(engine_spec(), hybrid_host(), CgroupDriver::kDisabled)
                  .starts_with("error: /linux/resources/memory/limit"));
  EXPECT_NE(
      described(engine_spec(), hybrid_host(), CgroupDriver::kDisabled, {.cgroup_limits = true})
          .find("left out: memory"),
      std::string::npos);
}

TEST(CgroupPlan, TheSystemdDriverNeedsASystemd) {
  EXPECT_EQ(described(engine_spec(), hybrid_host(), CgroupDriver::kSystemd),
            "error: the systemd cgroup driver needs a systemd to talk to");
}

TEST(CgroupPlan, TheSystemdDriverPutsEveryGroupWhereTheScopeIs) {
  HostFacts host = hybrid_host();
  host.systemd = SystemdFacts{"/user.slice/user@1000.service", "user.slice", ""};
  oci::Spec spec = engine_spec();
  spec.linux_.cgroups_path = "machine-build.slice:libpod:abc";
  const auto plan = CgroupLimits::describe(
      Request{.spec = spec, .container_id = "id", .cgroup_driver = CgroupDriver::kSystemd}, host);
  ASSERT_TRUE(plan) << plan.error().message();
  ASSERT_TRUE(plan->unit);
  EXPECT_EQ(plan->unit->name, "libpod-abc.scope");
  for (const CgroupGroup& group : plan->groups)
    EXPECT_EQ(group.path,
              "/user.slice/user@1000.service/machine.slice/machine-build.slice/libpod-abc.scope");
  EXPECT_FALSE(plan->unit_properties.empty());
}

TEST(CgroupPlan, TheGroupIsDelegatedOnlyWithItsOwnNamespaceAndAWritableMount) {
  oci::Spec spec = engine_spec();
  spec.linux_.uid_mappings = {{0, 100000, 65536}};
  const auto owner = [&] {
    const auto plan =
        CgroupLimits::describe(Request{.spec = spec, .container_id = "id"}, v2_host());
    return plan && plan->delegate_to ? plan->delegate_to->value() : 0;
  };
  EXPECT_EQ(owner(), 0U);
  spec.mounts = {
      {.destination = "/sys/fs/cgroup", .type = "cgroup", .source = "cgroup", .options = {"ro"}}};
  EXPECT_EQ(owner(), 0U);
  spec.mounts[0].options = {"nosuid"};
  EXPECT_EQ(owner(), 100000U);
  spec.linux_.namespaces.clear();
  EXPECT_EQ(owner(), 0U);
}

TEST(CgroupPlan, ExplainsEverySetting) {
  const auto plan =
      CgroupLimits::describe(Request{.spec = engine_spec(), .container_id = "id"}, hybrid_host());
  ASSERT_TRUE(plan);
  const Explanation explanation = CgroupLimits::explain(*plan);
  EXPECT_EQ(explanation.standing, Standing::kApplied);
  bool found = false;
  for (const Fact& fact : explanation.facts)
    found = found || (fact.name == "pids.max" && fact.value == "2048" &&
                      fact.why == "/linux/resources/pids/limit");
  EXPECT_TRUE(found);
}

// --- the child's half, on this kernel
// --------------------------------------------------------------

SysResult<void> verified(const CgroupLimits::Plan& plan) {
  TestChild child;
  return CgroupLimits::verify(plan, child);
}

TEST(CgroupLimits, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  EXPECT_TRUE(groups.inside([&] { return verified(groups.plan()); }));
}

TEST(CgroupLimits, HoldsAsFarAsAForeignCgroupNamespaceShows) {
  SKIP_UNLESS_ROOT();
  LiveGroups groups;
  LiveGroups others;
  ASSERT_EQ(groups.error() + others.error(), "");
  const auto files = groups.set().membership(false);
  const auto other_files = others.set().membership(false);
  ASSERT_TRUE(files && other_files);
  // A namespace whose root is another container's group.
  const auto in_foreign_namespace = [&](auto body) {
    return testing::in_child([&] {
      TestChild child;
      child.parent.cgroup_files = *other_files;
      if (!CgroupLimits::apply(others.plan(), child)) testing::could_not_prepare("joining");
      if (::unshare(CLONE_NEWCGROUP) != 0) testing::could_not_prepare("unshare");
      child.parent.cgroup_files = *files;
      child.context.joined = CLONE_NEWCGROUP;
      return body(child);
    });
  };
  EXPECT_TRUE(in_foreign_namespace([&](TestChild& child) {
    return CgroupLimits::apply(groups.plan(), child) && CgroupLimits::verify(groups.plan(), child);
  }));
  oci::Spec elsewhere = groups.spec();
  elsewhere.linux_.cgroups_path += "-not";
  const auto wrong = CgroupLimits::describe(Request{.spec = elsewhere, .container_id = "id"},
                                            testing::this_host());
  ASSERT_TRUE(wrong);
  EXPECT_TRUE(in_foreign_namespace([&](TestChild& child) {
    return CgroupLimits::apply(groups.plan(), child) && !CgroupLimits::verify(*wrong, child);
  }));
}

TEST(CgroupLimits, VerifyNoticesThatApplyNeverRan) {
  SKIP_UNLESS_ROOT();
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  EXPECT_TRUE(testing::in_child([&] { return !verified(groups.plan()); }));
  EXPECT_FALSE(CgroupLimits::verify_in_parent(groups.plan(), HostPid(::getpid())));
}

TEST(CgroupLimits, TheParentSeesTheSameFromOutside) {
  SKIP_UNLESS_ROOT();
  oci::Spec spec;
  spec.linux_.namespaces = {{oci::NamespaceType::kCgroup, ""}};
  LiveGroups groups(spec);
  ASSERT_EQ(groups.error(), "");
  const pid_t pid = groups.start(testing::sleep_for_ever);
  ASSERT_GT(pid, 0);
  // The child joins by itself: until then the parent's look says no.
  bool held = false;
  for (int i = 0; i < 1000 && !held; ++i) {
    held = CgroupLimits::verify_in_parent(groups.plan(), HostPid(pid)).has_value();
    if (!held) ::usleep(1000);
  }
  EXPECT_TRUE(held);
}

TEST(CgroupLimits, FailsClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  const auto files = groups.set().membership(false);
  ASSERT_TRUE(files);
  EXPECT_TRUE(testing::in_child([&] {
    TestChild child;
    child.parent.cgroup_files = *files;
    testing::kernel_refuses(SYS_write, EPERM);
    return !CgroupLimits::apply(groups.plan(), child);
  }));
  EXPECT_TRUE(testing::in_child([&] {
    TestChild child;
    child.parent.cgroup_files = *files;
    child.parent.error = EPIPE;
    return !CgroupLimits::apply(groups.plan(), child);
  }));
  EXPECT_TRUE(testing::in_child([&] {
    TestChild child;
    child.parent.cgroup_files = std::span<const int>(*files).first(files->size() - 1);
    return !CgroupLimits::apply(groups.plan(), child);
  })) << "a membership file is missing";
  EXPECT_TRUE(testing::in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_openat, EPERM);
    return !CgroupLimits::verify(groups.plan(), child);
  }));
}

TEST(CgroupLimits, AChildThatWasClonedIntoItsGroupSkipsIt) {
  SKIP_UNLESS_ROOT();
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  if (groups.set().unified_directory() < 0) GTEST_SKIP() << "no cgroup v2 hierarchy is mounted";
  const auto files = groups.set().membership(true);
  ASSERT_TRUE(files);
  EXPECT_EQ(files->size() + 1, groups.plan().groups.size());
  EXPECT_TRUE(testing::in_child([&] {
    if (!write_file_at(groups.set().unified_directory(), "cgroup.procs", "0"))
      testing::could_not_prepare("joining");
    TestChild child;
    child.parent.cgroup_files = *files;
    child.context.cloned_into_cgroup = true;
    return CgroupLimits::apply(groups.plan(), child) && CgroupLimits::verify(groups.plan(), child);
  }));
}

}  // namespace
}  // namespace bulkhead::isolation
