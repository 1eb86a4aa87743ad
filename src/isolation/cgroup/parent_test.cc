// The life of groups on this kernel: made, joined, frozen, killed, found again and removed; and
// that nothing is left behind.
#include "isolation/cgroup/parent.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>

#include "isolation/cgroup/directory.h"
#include "isolation/cgroup/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::eventually;
using testing::kMiB;
using testing::LiveGroups;
using testing::sleep_for_ever;
using testing::with;

std::size_t members(const std::string& directory) {
  const auto processes = cgroup::processes_in(directory);
  return processes ? processes->size() : 0;
}

TEST(CgroupSet, FreezesAndThaws) {
  SKIP_UNLESS_ROOT();
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC | O_NONBLOCK), 0);
  const pid_t pid = groups.start([&] {
    for (;;) {
      if (::write(pipe[1], "x", 1) != 1) return false;
      ::usleep(1000);
    }
  });
  ASSERT_GT(pid, 0);
  char buffer[65536];
  const auto beats = [&] {
    while (::read(pipe[0], buffer, sizeof buffer) > 0) continue;
    ::usleep(100'000);
    return ::read(pipe[0], buffer, sizeof buffer) > 0;
  };
  EXPECT_TRUE(eventually(beats));
  ASSERT_TRUE(groups.set().freeze());
  EXPECT_EQ(groups.set().frozen(), true);
  EXPECT_FALSE(beats());
  ASSERT_TRUE(groups.set().thaw());
  EXPECT_EQ(groups.set().frozen(), false);
  EXPECT_TRUE(beats());
  // A frozen group is killed without thawing first.
  ASSERT_TRUE(groups.set().freeze());
  ASSERT_TRUE(groups.set().signal_all(SIGKILL));
  EXPECT_TRUE(WIFSIGNALED(groups.wait(pid)));
}

TEST(CgroupSet, KillsEverythingEvenWhatForksMeanwhile) {
  SKIP_UNLESS_ROOT();
  oci::Resources resources;
  resources.pids_limit = 64;
  LiveGroups groups(with(resources));
  ASSERT_EQ(groups.error(), "");
  const pid_t pid = groups.start([] {
    ::signal(SIGCHLD, SIG_IGN);
    for (;;)
      if (::fork() < 0) ::usleep(10);
    return true;
  });
  ASSERT_GT(pid, 0);
  ASSERT_TRUE(eventually(
      [&] { return groups.set().processes().value_or(std::vector<HostPid>()).size() > 8; }));
  ASSERT_TRUE(groups.set().signal_all(SIGKILL));
  EXPECT_TRUE(WIFSIGNALED(groups.wait(pid)));
  EXPECT_TRUE(eventually(
      [&] { return groups.set().processes().value_or(std::vector<HostPid>(1)).empty(); }));
}

TEST(CgroupSet, KillsWithoutVersionTwo) {
  SKIP_WITHOUT("freezer");
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  // The same groups as a host without v2 would have recorded them.
  std::vector<std::string> record = cgroup_record(groups.plan());
  std::erase_if(record, [](const std::string& entry) { return entry.starts_with(':'); });
  const auto v1 = CgroupSet::open(record);
  ASSERT_TRUE(v1);
  const pid_t pid = groups.start([] {
    if (::fork() < 0) return false;
    return sleep_for_ever();
  });
  ASSERT_TRUE(
      eventually([&] { return v1->processes().value_or(std::vector<HostPid>()).size() == 2; }));
  ASSERT_TRUE(v1->freeze());
  EXPECT_EQ(v1->frozen(), true);
  ASSERT_TRUE(v1->thaw());
  ASSERT_TRUE(v1->signal_all(SIGKILL));
  EXPECT_TRUE(WIFSIGNALED(groups.wait(pid)));
  EXPECT_TRUE(
      eventually([&] { return v1->processes().value_or(std::vector<HostPid>(1)).empty(); }));
}

TEST(CgroupSet, AGroupWithProcessesIsNotTaken) {
  SKIP_UNLESS_ROOT();
  LiveGroups first;
  ASSERT_EQ(first.error(), "");
  const pid_t pid = first.start(sleep_for_ever);
  ASSERT_TRUE(eventually([&] { return members(first.plan().groups.back().directory) == 1; }));
  first.set() = *CgroupSet::open(cgroup_record(first.plan()));  // created: the lock goes
  // Until the child has closed what it inherited, the answer is that a create is under way.
  EXPECT_TRUE(eventually([&] {
    const auto second = CgroupSet::create(first.plan());
    return !second && second.error().kind() == ErrorKind::kExists &&
           second.error().message().find("is not empty") != std::string::npos;
  }));
  for (const CgroupGroup& group : first.plan().groups)
    EXPECT_EQ(::access(group.directory.c_str(), F_OK), 0)
        << "what was there before stays: " << group.directory;
  EXPECT_EQ(::kill(pid, 0), 0);
}

TEST(CgroupSet, AnEmptyGroupThatIsThereIsTaken) {
  SKIP_UNLESS_ROOT();
  LiveGroups first;
  ASSERT_EQ(first.error(), "");
  if (first.set().unified_directory() >= 0) {
    const auto refused = CgroupSet::create(first.plan());
    ASSERT_FALSE(refused) << "while the first is being created";
    EXPECT_EQ(refused.error().kind(), ErrorKind::kExists);
  }
  ASSERT_TRUE(CgroupSet::open(cgroup_record(first.plan())));
  first.set() = *CgroupSet::open(cgroup_record(first.plan()));  // lets the lock go
  EXPECT_TRUE(CgroupSet::create(first.plan()));
}

TEST(CgroupSet, AbandonedItLeavesNoParentsBehind) {
  SKIP_UNLESS_ROOT();
  const std::string top = "/bulkhead-test-" + std::to_string(::getpid()) + "-abandoned";
  oci::Spec spec;
  spec.linux_.cgroups_path = top + "/a";
  LiveGroups groups(spec);
  ASSERT_EQ(groups.error(), "");
  groups.set().abandon();
  for (const CgroupHierarchy& one : testing::this_host().cgroups)
    EXPECT_NE(::access((one.mount_point + top).c_str(), F_OK), 0) << one.mount_point;
}

TEST(CgroupSet, ADelegatedVersionTwoGroupIsUsedWithoutPrivilege) {
  SKIP_UNLESS_ROOT();
  std::string mine;
  for (const CgroupHierarchy& one : testing::this_host().cgroups)
    if (one.v2) mine = one.mount_point + "/bulkhead-test-" + std::to_string(::getpid()) + "-user";
  if (mine.empty()) GTEST_SKIP() << "no cgroup v2 hierarchy is mounted";
  constexpr uid_t kUser = 65534;
  ASSERT_EQ(::mkdir(mine.c_str(), 0755), 0);
  for (const char* file : {"", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"})
    ASSERT_EQ(::chown((mine + file).c_str(), kUser, kUser), 0);
  EXPECT_TRUE(testing::in_child([&] {
    if (!write_file_at(AT_FDCWD, (mine + "/cgroup.procs").c_str(), "0")) return false;
    if (::setresgid(kUser, kUser, kUser) != 0 || ::setresuid(kUser, kUser, kUser) != 0)
      return false;
    HostFacts host = testing::this_host();
    host.effective_capabilities = 0;
    const auto plan =
        CgroupLimits::describe(Request{.spec = oci::Spec(), .container_id = "id"}, host);
    auto set = CgroupSet::create(*plan);
    if (!set || set->empty() || set->left_out().size() + 1 != plan->groups.size()) return false;
    const auto files = set->membership(false);
    const pid_t child = ::fork();
    if (child == 0) {
      testing::TestChild context;
      context.parent.cgroup_files = *files;
      if (!CgroupLimits::apply(*plan, context) || !CgroupLimits::verify(*plan, context)) ::_exit(1);
      sleep_for_ever();
    }
    const bool joined =
        eventually([&] { return set->processes().value_or(std::vector<HostPid>()).size() == 1; });
    const bool frozen = set->freeze() && set->frozen() == true && set->thaw();
    const bool killed = set->signal_all(SIGKILL).has_value();
    ::waitpid(child, nullptr, 0);
    const bool removed = set->remove().has_value();
    ::rmdir((mine + "/bulkhead-runtime").c_str());
    return joined && frozen && killed && removed;
  }));
  EXPECT_EQ(::rmdir(mine.c_str()), 0);
}

TEST(CgroupSet, GroupsAreMadeBesideTheCallersOwnWhereTheGroupAboveIsDelegated) {
  SKIP_UNLESS_ROOT();
  std::string mine;
  for (const CgroupHierarchy& one : testing::this_host().cgroups)
    if (one.v2) mine = one.mount_point + "/bulkhead-test-" + std::to_string(::getpid()) + "-above";
  if (mine.empty()) GTEST_SKIP() << "no cgroup v2 hierarchy is mounted";
  constexpr uid_t kUser = 65534;
  const std::string own = mine + "/caller";
  ASSERT_EQ(::mkdir(mine.c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(own.c_str(), 0755), 0);
  for (const std::string& group : {mine, own})
    for (const char* file : {"", "/cgroup.procs", "/cgroup.subtree_control"})
      ASSERT_EQ(::chown((group + file).c_str(), kUser, kUser), 0);
  const auto made_in = [&](uid_t user) {
    std::string directory;
    HostFacts host = testing::this_host();  // after the move: where the caller is
    host.effective_capabilities = 0;
    if (::setresuid(user, user, user) != 0) return directory;
    host.cgroups = discover_cgroup_hierarchies().value_or(std::vector<CgroupHierarchy>());
    const auto plan =
        CgroupLimits::describe(Request{.spec = oci::Spec(), .container_id = "id"}, host);
    return plan ? plan->groups.front().directory : directory;
  };
  EXPECT_TRUE(testing::in_child([&] {
    if (!write_file_at(AT_FDCWD, (own + "/cgroup.procs").c_str(), "0")) return false;
    return made_in(kUser) == mine + "/bulkhead-runtime/id";
  }));
  EXPECT_TRUE(testing::in_child([&] {
    if (!write_file_at(AT_FDCWD, (own + "/cgroup.procs").c_str(), "0")) return false;
    return made_in(kUser - 1) == own + "/bulkhead-runtime/id";
  })) << "to another user nothing is delegated";
  EXPECT_EQ(::rmdir(own.c_str()), 0);
  EXPECT_EQ(::rmdir(mine.c_str()), 0);
}

TEST(CgroupSet, ExecFindsTheGroupThatTheContainerMadeForItself) {
  SKIP_UNLESS_ROOT();
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  const std::string own = groups.directory("");
  if (own.empty()) GTEST_SKIP() << "no cgroup v2 hierarchy is mounted";
  // As an init system does: into a group of its own, and the controllers on for its groups. Here
  // nothing but the file that says so needs to differ.
  const pid_t pid = groups.start([&] {
    if (::mkdir((own + "/init.scope").c_str(), 0755) != 0) return false;
    if (!write_file_at(AT_FDCWD, (own + "/init.scope/cgroup.procs").c_str(), "0")) return false;
    return sleep_for_ever();
  });
  ASSERT_TRUE(eventually([&] { return members(own + "/init.scope") == 1; }));
  const auto joined = [&](std::string_view beneath) {
    std::vector<SubGroup> sub_groups;
    if (!beneath.empty()) sub_groups.push_back({"", std::string(beneath)});
    const auto files = groups.set().open_membership(HostPid(pid), sub_groups);
    if (!files) return std::string();
    std::string entry;
    const std::string link = "/proc/self/fd/" + std::to_string(files->front().get());
    char target[4096];
    const ssize_t size = ::readlink(link.c_str(), target, sizeof target);
    return size < 0 ? std::string() : std::string(target, static_cast<std::size_t>(size));
  };
  EXPECT_EQ(joined(""), own + "/cgroup.procs") << "no controllers beneath: the group itself";
  EXPECT_EQ(joined("init.scope"), "") << "v1 has no such group";
  const std::string root = own.substr(0, own.rfind('/'));
  const bool was_on =
      cgroup::has_word(cgroup::value_of(root, "cgroup.subtree_control").value_or(""), "hugetlb");
  if (cgroup::enable_controllers(root, own + "/init.scope", {"hugetlb"})) {
    EXPECT_EQ(joined(""), own + "/init.scope/cgroup.procs");
    (void)write_file_at(AT_FDCWD, (own + "/cgroup.subtree_control").c_str(), "-hugetlb");
    if (!was_on)
      (void)write_file_at(AT_FDCWD, (root + "/cgroup.subtree_control").c_str(), "-hugetlb");
  }
}

TEST(CgroupSet, AFailureLeavesNothingBehind) {
  SKIP_WITHOUT("memory");
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{.limit = 64 * kMiB};
  resources.block_io = oci::BlockIoLimits{};
  resources.block_io->throttle_read_bps_device = {{4095, 1048575, 600}};  // no such device
  oci::Spec spec = with(resources);
  spec.linux_.cgroups_path = "/bulkhead-test-" + std::to_string(::getpid()) + "-deep/a/b";
  LiveGroups groups(spec);
  EXPECT_NE(groups.error().find("/linux/resources/blockIO/throttleReadBpsDevice/0"),
            std::string::npos)
      << groups.error();
  for (const CgroupGroup& group : groups.plan().groups) {
    const std::string top =
        group.mount_point + "/bulkhead-test-" + std::to_string(::getpid()) + "-deep";
    EXPECT_NE(::access(top.c_str(), F_OK), 0) << top;
  }
}

TEST(CgroupSet, ACpusetIsFilledDownTheWholePath) {
  SKIP_WITHOUT("cpuset");
  const std::string top = "/bulkhead-test-" + std::to_string(::getpid()) + "-cpuset";
  oci::Spec spec;
  spec.linux_.cgroups_path = top + "/a/b";
  std::string mount_point;
  {
    LiveGroups groups(spec);
    ASSERT_EQ(groups.error(), "");
    EXPECT_TRUE(groups.inside([] { return true; }));  // ENOSPC where it is empty
    oci::Spec next = spec;
    next.linux_.cgroups_path = top + "/a/c";
    next.linux_.resources.emplace().cpu = oci::CpuLimits{.cpus = "0"};
    LiveGroups second(next);
    ASSERT_EQ(second.error(), "");
    EXPECT_TRUE(second.inside([] {
      cpu_set_t set;
      return ::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1 &&
             CPU_ISSET(0, &set);
    }));
  }
  for (const CgroupHierarchy& one : testing::this_host().cgroups) {
    ::rmdir((one.mount_point + top + "/a").c_str());
    EXPECT_EQ(::rmdir((one.mount_point + top).c_str()), 0) << one.mount_point;
  }
}

TEST(CgroupSet, AParentThatSomebodyLeftEmptyIsFilledToo) {
  SKIP_WITHOUT("cpuset");
  const std::string top = "/bulkhead-test-" + std::to_string(::getpid()) + "-empty";
  std::string parent;
  for (const CgroupHierarchy& one : testing::this_host().cgroups)
    if (!one.v2 && one.controllers.front() == "cpuset") parent = one.mount_point + top;
  if (parent.empty()) GTEST_SKIP() << "cpuset is in cgroup v2, which fills groups itself";
  ASSERT_EQ(::mkdir(parent.c_str(), 0755), 0);
  {
    oci::Spec spec;
    spec.linux_.cgroups_path = top + "/a";
    LiveGroups groups(spec);
    EXPECT_EQ(groups.error(), "");
    EXPECT_TRUE(groups.inside([] { return true; }));
  }
  for (const CgroupHierarchy& one : testing::this_host().cgroups)
    ::rmdir((one.mount_point + top).c_str());
}

TEST(CgroupSet, RemovesWhatTheContainerMadeBeneath) {
  SKIP_UNLESS_ROOT();
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  for (const CgroupGroup& group : groups.plan().groups) {
    ASSERT_EQ(::mkdir((group.directory + "/x").c_str(), 0755), 0);
    ASSERT_EQ(::mkdir((group.directory + "/x/y").c_str(), 0755), 0);
  }
  ASSERT_TRUE(groups.set().remove());
  for (const CgroupGroup& group : groups.plan().groups)
    EXPECT_NE(::access(group.directory.c_str(), F_OK), 0);
  EXPECT_TRUE(groups.set().remove()) << "again: gone is gone";
}

TEST(SubGroups, AreForAllControllersOrForThoseNamed) {
  const auto parse = [](std::vector<std::string> texts) {
    std::string out;
    const auto groups = parse_sub_groups(texts);
    if (!groups) return std::string("refused");
    for (const SubGroup& group : *groups) out += group.controller + "=" + group.path + " ";
    return out;
  };
  EXPECT_EQ(parse({}), "");
  EXPECT_EQ(parse({"a/b"}), "=a/b ");
  EXPECT_EQ(parse({"cpu,cpuacct:a", "memory:b/c"}), "cpu=a cpuacct=a memory=b/c ");
  for (const std::vector<std::string>& texts :
       std::vector<std::vector<std::string>>{{"a", "b"},
                                             {"cpu:a", "b"},
                                             {":a"},
                                             {"cpu,:a"},
                                             {"cpu:a", "cpu:b"},
                                             {"../x"},
                                             {"cpu:a/../../x"}})
    EXPECT_EQ(parse(texts), "refused") << texts.front();
}

TEST(CgroupSet, ExecJoinsTheSubGroupsOfThoseControllersThatAreNamed) {
  SKIP_UNLESS_ROOT();
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  const std::string own = groups.directory("memory");
  if (own.empty()) GTEST_SKIP() << "no cgroup v1 hierarchy has the memory controller";
  const pid_t pid = groups.start(sleep_for_ever);
  const std::string inner = own + "/inner";
  ASSERT_EQ(::mkdir(inner.c_str(), 0755), 0);
  const auto files =
      groups.set().open_membership(HostPid(pid), std::vector<SubGroup>{{"memory", "inner"}});
  ASSERT_TRUE(files);
  std::size_t inside = 0;
  for (const Fd& file : *files) {
    char target[4096];
    const std::string link = "/proc/self/fd/" + std::to_string(file.get());
    const ssize_t size = ::readlink(link.c_str(), target, sizeof target);
    ASSERT_GT(size, 0);
    const std::string path(target, static_cast<std::size_t>(size));
    if (path.find("/inner/") == std::string::npos) continue;
    EXPECT_EQ(path, inner + "/tasks");
    ++inside;
  }
  EXPECT_EQ(inside, 1U) << "the others are joined as without a sub-group";
  EXPECT_GE(files->size(), 2U);
}

TEST(CgroupSet, IsFoundAgainByItsRecord) {
  SKIP_UNLESS_ROOT();
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  const pid_t pid = groups.start(sleep_for_ever);
  const auto again = CgroupSet::open(cgroup_record(groups.plan()));
  ASSERT_TRUE(again);
  ASSERT_TRUE(
      eventually([&] { return again->processes().value_or(std::vector<HostPid>()).size() == 1; }));
  EXPECT_EQ(again->processes()->front().value(), pid);
  // A second process joins, as exec does.
  const auto files = again->open_membership(HostPid(pid));
  ASSERT_TRUE(files);
  EXPECT_TRUE(testing::in_child([&] {
    for (const Fd& file : *files)
      if (::write(file.get(), "0", 1) != 1) return false;
    return CgroupLimits::verify_in_parent(groups.plan(), HostPid(::getpid())).has_value();
  }));
  EXPECT_FALSE(again->open_membership(HostPid(pid), std::vector<SubGroup>{{"", "no-such"}}));
  EXPECT_FALSE(again->open_membership(HostPid(pid), std::vector<SubGroup>{{"none", "x"}}));
  EXPECT_FALSE(CgroupSet::open(std::vector<std::string>{"memory/sys"}));
  EXPECT_FALSE(CgroupSet::open(std::vector<std::string>{"memory:/sys/fs/cgroup/memory/../../x"}));
  const auto gone =
      CgroupSet::open(std::vector<std::string>{"memory:/sys/fs/cgroup/memory/no-such-group"});
  ASSERT_TRUE(gone);
  EXPECT_TRUE(gone->empty());
  EXPECT_TRUE(gone->remove());
}

TEST(CgroupSet, WithoutPrivilegeNothingIsMadeAndLimitsAreRefused) {
  SKIP_UNLESS_ROOT();
  const auto as_user = [](const oci::Resources* resources, bool& made, std::string& error) {
    HostFacts host = testing::this_host();
    host.effective_capabilities = 0;
    oci::Spec spec;
    if (resources != nullptr) spec.linux_.resources = *resources;
    auto plan = CgroupLimits::describe(
        Request{.spec = spec, .container_id = "test-" + std::to_string(::getpid())}, host);
    if (!plan) return false;
    if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0)
      return false;
    auto set = CgroupSet::create(*plan);
    made = set.has_value() && !set->empty();
    if (!set) {
      error = set.error().message() + " " + set.error().hint();
      return true;
    }
    if (set->left_out().size() != plan->groups.size()) return false;
    const auto files = set->membership(false);
    testing::TestChild child;
    child.parent.cgroup_files = *files;
    return CgroupLimits::apply(*plan, child) && CgroupLimits::verify(*plan, child);
  };
  EXPECT_TRUE(testing::in_child([&] {
    bool made = true;
    std::string error;
    return as_user(nullptr, made, error) && !made && error.empty();
  }));
  EXPECT_TRUE(testing::in_child([&] {
    oci::Resources resources;
    resources.pids_limit = 5;
    bool made = true;
    std::string error;
    return as_user(&resources, made, error) && !made && error.find("pids") != std::string::npos &&
           error.find("start as root") != std::string::npos;
  }));
}

}  // namespace
}  // namespace bulkhead::isolation
