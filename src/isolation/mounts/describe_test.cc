#include <gtest/gtest.h>

#include "isolation/mounts/parent_mounts.h"
#include "isolation/mounts/tree_testing.h"

namespace bulkhead::isolation {
namespace {

using namespace testing;

Result<MountsPlan> plan_of(const oci::Mount& mount, const HostFacts& host = full_host(),
                           std::vector<oci::Namespace> namespaces = {
                               {oci::NamespaceType::kMount, ""}}) {
  oci::Spec spec;
  spec.root = oci::Root{"/root", false};
  spec.linux_.namespaces = std::move(namespaces);
  spec.mounts = {mount};
  return describe_mounts(request_of(spec), host);
}

std::string refusal(const Result<MountsPlan>& plan) { return plan ? "" : plan.error().message(); }

TEST(MountPlans, AnUnknownOptionOfABindIsNamed) {
  EXPECT_NE(refusal(plan_of(bind_mount("/a", "/b", {"rbind", "sizzle=3"}))).find("\"sizzle\""),
            std::string::npos);
  EXPECT_NE(refusal(plan_of(bind_mount("/a", "/b", {"rbind", "sync"}))).find("sync"),
            std::string::npos);
  EXPECT_NE(refusal(plan_of(bind_mount("/a", "/b", {"tmpcopyup"}))).find("tmpcopyup"),
            std::string::npos);
}

TEST(MountPlans, BadMountsAreRefusedWithTheirPlace) {
  EXPECT_NE(refusal(plan_of({"", "tmpfs", "", {}, {}, {}})).find("/mounts/0/destination"),
            std::string::npos);
  EXPECT_NE(refusal(plan_of({"/x", "", "", {}, {}, {}})).find("/mounts/0/type"), std::string::npos);
  EXPECT_NE(refusal(plan_of({"/x", "none", "", {}, {}, {}})).find("bind"), std::string::npos);
  EXPECT_NE(refusal(plan_of(bind_mount("", "/x"))).find("/mounts/0/source"), std::string::npos);
  EXPECT_FALSE(plan_of({"/a/..", "tmpfs", "", {}, {}, {}}));
  EXPECT_FALSE(plan_of({std::string("/a\0b", 4), "tmpfs", "", {}, {}, {}}));
  EXPECT_FALSE(plan_of({"/x", "ext4", "/dev/sda", {"tmpcopyup"}, {}, {}}));
}

TEST(MountPlans, OnlyProcfsGoesOnProcAndOnlyKnownFilesInside) {
  EXPECT_TRUE(plan_of(proc_mount()));
  EXPECT_FALSE(plan_of({"/proc", "tmpfs", "", {}, {}, {}}));
  EXPECT_FALSE(plan_of({"/x/../proc/", "tmpfs", "", {}, {}, {}}));
  EXPECT_FALSE(plan_of({"/proc/acpi", "tmpfs", "", {}, {}, {}}));
  EXPECT_FALSE(plan_of(bind_mount("/a", "/proc/self/attr/exec")));
  EXPECT_FALSE(plan_of(bind_mount("/a", "/proc/sys/kernel/core_pattern")));
  EXPECT_TRUE(plan_of(bind_mount("/var/lib/lxcfs/proc/meminfo", "/proc/meminfo")));
  const auto bound = plan_of(bind_mount("/proc", "/proc"));
  ASSERT_TRUE(bound);
  EXPECT_TRUE(bound->mounts[0].source_must_be_procfs);
}

TEST(MountPlans, ARelativeDestinationStartsAtTheRoot) {
  const auto plan = plan_of({"data/x", "tmpfs", "", {}, {}, {}});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->mounts[0].place.absolute, "/data/x");
}

TEST(MountPlans, ARelativeSourceIsInTheBundle) {
  oci::Spec spec;
  spec.mounts = {bind_mount("data", "/data")};
  const auto plan = describe_mounts(Request{.spec = spec, .bundle = "/bundle"}, full_host());
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->mounts[0].source, "/bundle/data");
}

TEST(MountPlans, ABindIsPrivateUnlessItSaysOtherwise) {
  const auto plan = plan_of(bind_mount("/a", "/b", {"rbind", "ro"}));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->mounts[0].tree_attributes.propagation, std::uint64_t{MS_PRIVATE});
  EXPECT_EQ(plan->mounts[0].attributes.set, std::uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(plan->mounts[0].recursion, Recursion::kWholeTree);
  const auto one = plan_of(bind_mount("/a", "/b", {"bind", "ro", "slave"}));
  ASSERT_TRUE(one);
  EXPECT_EQ(one->mounts[0].tree_attributes.set, std::uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(one->mounts[0].tree_attributes.propagation, std::uint64_t{MS_SLAVE});
  EXPECT_TRUE(one->mounts[0].attributes.empty());
}

TEST(MountPlans, TheParentOpensWhatAUserNamespaceMayNotWalkTo) {
  const auto user = std::vector<oci::Namespace>{{oci::NamespaceType::kMount, ""},
                                                {oci::NamespaceType::kUser, ""}};
  const auto plan = plan_of(bind_mount("/root/secret", "/b"), full_host(), user);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->mounts[0].method, MountMethod::kFromParent);
  EXPECT_EQ(plan->mounts[0].parent_mount, 1U);  // 0 is the root
  HostFacts rootless = full_host();
  rootless.effective_capabilities = 0;
  const auto own = plan_of(bind_mount("/home/me", "/b"), rootless, user);
  ASSERT_TRUE(own);
  EXPECT_EQ(own->mounts[0].method, MountMethod::kBind);
}

TEST(MountPlans, TheParentsListHasTheRootAndTheMountsInOrder) {
  auto spec = spec_of("/the/root");
  spec.mounts = {proc_mount(), bind_mount("/a", "/a"), bind_mount("/b", "/b")};
  auto request = request_of(spec);
  EXPECT_TRUE(describe_parent_mounts(request, full_host())->empty());
  spec.linux_.namespaces.push_back({oci::NamespaceType::kUser, ""});
  const auto plan = describe_parent_mounts(request, full_host());
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->root, "/the/root");
  ASSERT_EQ(plan->mounts.size(), 2U);
  EXPECT_EQ(plan->mounts[0].parent_mount, 1U);
  EXPECT_EQ(plan->mounts[1].parent_mount, 2U);
  request.root_from_parent = true;
  const auto engine = describe_parent_mounts(request, full_host());
  ASSERT_TRUE(engine);
  EXPECT_FALSE(engine->root);
  EXPECT_EQ(engine->mounts[0].parent_mount, 1U);
}

TEST(MountPlans, IdmapNeedsMappingsOrAUserNamespace) {
  auto mount = bind_mount("/a", "/b", {"rbind", "idmap"});
  EXPECT_FALSE(plan_of(mount));
  EXPECT_TRUE(plan_of(mount, full_host(), {{oci::NamespaceType::kUser, ""}}));
  mount.uid_mappings = {{0, 1000, 1}};
  EXPECT_FALSE(plan_of(mount));
  mount.gid_mappings = {{0, 1000, 1}};
  const auto plan = plan_of(mount);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->mounts[0].method, MountMethod::kFromParent);
  EXPECT_EQ(plan->mounts[0].idmap_recursion, Recursion::kThisMount);
}

TEST(MountPlans, VolumesThatStaySharedAreCopiedByTheParent) {
  const auto plan = plan_of(bind_mount("/a", "/b", {"rbind", "rshared"}));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->mounts[0].method, MountMethod::kFromParent);
  EXPECT_EQ(plan->mounts[0].parent_mount, 0U);
}

TEST(MountPlans, MountsFromTheFirstCgroupOnAreLate) {
  auto spec = spec_of("/r");
  spec.mounts = {
      proc_mount(), {"/sys/fs/cgroup", "cgroup", "cgroup", {"ro"}, {}, {}}, bind_mount("/a", "/a")};
  HostFacts host = full_host();
  host.cgroups = {{{"cpu", "cpuacct"}, "/sys/fs/cgroup/cpu,cpuacct", "/", "/", false},
                  {{}, "/sys/fs/cgroup/unified", "/", "/", true}};
  const auto early = EarlyMounts::describe(request_of(spec), host);
  const auto late = LateMounts::describe(request_of(spec), host);
  ASSERT_TRUE(early && late);
  EXPECT_EQ(early->mounts.size(), 1U);
  ASSERT_EQ(late->mounts.size(), 2U);
  const auto& cgroup = late->mounts[0];
  ASSERT_EQ(cgroup.cgroups.size(), 2U);
  EXPECT_EQ(cgroup.cgroups[0].name, "cpu,cpuacct");
  EXPECT_EQ(cgroup.cgroups[0].links, (std::vector<std::string>{"cpu", "cpuacct"}));
  EXPECT_EQ(cgroup.cgroups[1].name, "unified");
  EXPECT_TRUE(cgroup.cgroup_directory);
}

TEST(MountPlans, ACgroupMountOfAnUnprivilegedRuntimeIsReadOnlyWithoutACgroupNamespace) {
  HostFacts host = full_host();
  host.cgroups = {{{}, "/sys/fs/cgroup", "/", "/user.slice", true}};
  host.effective_capabilities = 0;
  const oci::Mount mount{"/sys/fs/cgroup", "cgroup", "cgroup", {"rw"}, {}, {}};
  const auto shared = plan_of(mount, host);
  ASSERT_TRUE(shared);
  EXPECT_NE(shared->mounts[0].tree_attributes.set & MOUNT_ATTR_RDONLY, 0U);
  const auto own = plan_of(mount, host, {{oci::NamespaceType::kCgroup, ""}});
  ASSERT_TRUE(own);
  EXPECT_EQ(own->mounts[0].tree_attributes.set & MOUNT_ATTR_RDONLY, 0U);
  EXPECT_FALSE(plan_of(mount, full_host()));
}

TEST(MountPlans, AReadOnlyTmpfsWithMountsInItIsClosedBehindThem) {
  auto spec = spec_of("/r");
  spec.mounts = {{"/etc", "tmpfs", "tmpfs", {"ro", "nosuid"}, {}, {}}, bind_mount("/a", "/etc/a")};
  const auto plan = describe_mounts(request_of(spec), full_host());
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->mounts.size(), 3U);
  EXPECT_EQ(plan->mounts[0].attributes.set & MOUNT_ATTR_RDONLY, 0U);
  EXPECT_EQ(plan->mounts[0].flags & MS_RDONLY, 0U);
  EXPECT_EQ(plan->mounts[2].method, MountMethod::kRemount);
  EXPECT_EQ(plan->mounts[2].place.absolute, "/etc");
  const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID;
  EXPECT_EQ(plan->mounts[2].flags & flags, flags);
  EXPECT_NE(plan->mounts[2].attributes.set & MOUNT_ATTR_RDONLY, 0U);

  spec.mounts[1].destination = "/etcetera";
  const auto alone = describe_mounts(request_of(spec), full_host());
  ASSERT_TRUE(alone);
  ASSERT_EQ(alone->mounts.size(), 2U);
  EXPECT_NE(alone->mounts[0].attributes.set & MOUNT_ATTR_RDONLY, 0U);
}

TEST(MountPlans, AMountLabelNeedsSelinux) {
  auto spec = spec_of("/r");
  spec.mounts = {dev_mount()};
  spec.linux_.mount_label = "system_u:object_r:container_file_t:s0:c1,c2";
  EXPECT_FALSE(describe_mounts(request_of(spec), full_host()));
  HostFacts host = full_host();
  host.selinux = true;
  const auto plan = describe_mounts(request_of(spec), host);
  ASSERT_TRUE(plan);
  EXPECT_NE(plan->mounts[0].data.find("context=\"system_u:object_r:container_file_t:s0:c1,c2\""),
            std::string::npos);
}

TEST(MountPlans, ExplainNamesEveryMountWithItsOptions) {
  auto spec = spec_of("/r");
  spec.mounts = {proc_mount(), bind_mount("/srv", "/data", {"rbind", "ro", "rslave"})};
  const auto plan = EarlyMounts::describe(request_of(spec), full_host());
  ASSERT_TRUE(plan);
  const auto explanation = EarlyMounts::explain(*plan);
  ASSERT_EQ(explanation.facts.size(), 2U);
  EXPECT_EQ(explanation.facts[0].name, "/proc");
  EXPECT_EQ(explanation.facts[0].value, "proc, nosuid,nodev,noexec");
  EXPECT_EQ(explanation.facts[1].value, "rbind of \"/srv\", ro, rslave");
}

}  // namespace
}  // namespace bulkhead::isolation
