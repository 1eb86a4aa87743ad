// Limits on this kernel, whichever hierarchies it has: that they really bind, each beside the same
// act without the limit.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <time.h>

#include "isolation/cgroup/directory.h"
#include "isolation/cgroup/parent.h"
#include "isolation/cgroup/testing.h"

namespace bulkhead::isolation {
namespace {

using cgroup::number_of;
using cgroup::value_of;
using testing::can_open;
using testing::eventually;
using testing::kMiB;
using testing::LiveGroups;
using testing::sleep_for_ever;
using testing::touch;
using testing::with;

TEST(CgroupLive, AMemoryLimitKillsWhatExceedsIt) {
  SKIP_WITHOUT("memory");
  LiveGroups unlimited;
  ASSERT_EQ(unlimited.error(), "");
  EXPECT_TRUE(unlimited.inside([] { return touch(64 * kMiB); })) << "positive control";
  EXPECT_EQ(unlimited.set().stats().memory.oom_kills.value_or(0), 0U);

  oci::Resources resources;
  resources.memory = oci::MemoryLimits{.limit = 16 * kMiB};
  LiveGroups groups(with(resources));
  ASSERT_EQ(groups.error(), "");
  const int status = groups.wait(groups.start([] { return touch(64 * kMiB); }));
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  const CgroupStats stats = groups.set().stats();
  EXPECT_GE(stats.memory.oom_kills.value_or(0), 1U);
  EXPECT_GT(stats.memory.memory.peak.value_or(0), 8 * kMiB);
  EXPECT_EQ(stats.memory.memory.limit.value_or(0), 16 * kMiB);
  const CgroupUsage usage = groups.set().usage();
  EXPECT_EQ(usage.oom_kills, stats.memory.oom_kills);
  EXPECT_EQ(usage.peak_memory_bytes, stats.memory.memory.peak);
  EXPECT_GT(usage.cpu_ns.value_or(0), 0U);
  const Error why = groups.set().explain_start_failure(Error(ErrorKind::kSystem, "the child died"));
  EXPECT_NE(why.message().find("memory limit of 16777216 bytes is too small"), std::string::npos)
      << why.message();
  const Error other =
      unlimited.set().explain_start_failure(Error(ErrorKind::kSystem, "the child died"));
  EXPECT_EQ(other.message(), "the child died");
}

TEST(CgroupLive, APidsLimitStopsForks) {
  SKIP_WITHOUT("pids");
  const auto forks = [] {
    for (int i = 0; i < 4; ++i) {
      const pid_t child = ::fork();
      if (child < 0) return false;
      if (child == 0) {
        ::usleep(200'000);
        ::_exit(0);
      }
    }
    while (::wait(nullptr) > 0) continue;
    return true;
  };
  LiveGroups unlimited;
  ASSERT_EQ(unlimited.error(), "");
  EXPECT_TRUE(unlimited.inside(forks)) << "positive control";
  oci::Resources resources;
  resources.pids_limit = 3;
  LiveGroups groups(with(resources));
  ASSERT_EQ(groups.error(), "");
  EXPECT_FALSE(groups.inside(forks));
  EXPECT_GE(groups.set().stats().pids.refusals.value_or(1), 1U);
  EXPECT_EQ(groups.set().stats().pids.limit.value_or(0), 3U);
  EXPECT_TRUE(groups.set().signal_all(SIGKILL));
}

TEST(CgroupLive, AQuotaIsReadBackAndThrottles) {
  SKIP_WITHOUT("cpu");
  oci::Resources resources;
  resources.cpu = oci::CpuLimits{.shares = 512, .quota = 2000, .period = 50000};
  LiveGroups groups(with(resources));
  ASSERT_EQ(groups.error(), "");
  const std::string v1 = groups.directory("cpu");
  if (!v1.empty()) {
    EXPECT_EQ(number_of(v1, "cpu.cfs_quota_us"), 2000U);
    EXPECT_EQ(number_of(v1, "cpu.cfs_period_us"), 50000U);
    EXPECT_EQ(number_of(v1, "cpu.shares"), 512U);
  } else {
    EXPECT_EQ(value_of(groups.directory(""), "cpu.max"), "2000 50000");
    EXPECT_EQ(number_of(groups.directory(""), "cpu.weight"), 59U);
  }
  groups.start([] {
    for (;;) ::getppid();
    return true;
  });
  EXPECT_TRUE(
      eventually([&] { return groups.set().stats().cpu.throttled_periods.value_or(0) > 0; }));
  EXPECT_GT(groups.set().stats().cpu.usage_ns.value_or(0), 0U);
}

TEST(CgroupLive, DevicesOutsideTheListCannotBeOpened) {
  SKIP_UNLESS_ROOT();
  const auto open_kmsg = [] { return can_open("/dev/kmsg", O_RDONLY); };
  oci::Resources resources;
  resources.devices = {{true, "a", {}, {}, "rwm"}};
  LiveGroups open(with(resources));
  ASSERT_EQ(open.error(), "");
  EXPECT_TRUE(open.inside(open_kmsg)) << "positive control";
  LiveGroups groups;  // no list at all: the default devices
  ASSERT_EQ(groups.error(), "");
  EXPECT_FALSE(groups.inside(open_kmsg));
  EXPECT_TRUE(groups.inside([] { return can_open("/dev/null", O_RDWR); }));
}

TEST(CgroupLive, ADeviceListBeyondVersionOneIsEnforcedToo) {
  SKIP_UNLESS_ROOT();
  oci::Resources resources;
  resources.devices = {{true, "c", 1, {}, "rw"}, {false, "c", 1, 11, "w"}};
  LiveGroups groups(with(resources));
  if (groups.directory("").empty()) GTEST_SKIP() << "no cgroup v2 hierarchy is mounted";
  ASSERT_EQ(groups.error(), "");
  EXPECT_TRUE(groups.inside([] { return can_open("/dev/kmsg", O_RDONLY); }));
  EXPECT_FALSE(groups.inside([] { return can_open("/dev/kmsg", O_WRONLY); }));
}

TEST(CgroupLive, UpdatesLimitsInEitherDirection) {
  SKIP_WITHOUT("memory");
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{.limit = 64 * kMiB, .swap = 64 * kMiB};
  resources.pids_limit = 10;
  LiveGroups groups(with(resources));
  if (groups.error().find("swap") != std::string::npos)
    GTEST_SKIP() << "this kernel does not account swap";
  ASSERT_EQ(groups.error(), "");
  const auto update = [&](std::int64_t limit, std::int64_t swap) {
    oci::Resources change;
    change.memory = oci::MemoryLimits{.limit = limit, .swap = swap};
    const auto updated = groups.set().update(change);
    if (!updated) ADD_FAILURE() << updated.error().message();
    return groups.set().stats().memory.memory.limit.value_or(0);
  };
  EXPECT_EQ(update(128 * kMiB, 256 * kMiB), 128 * kMiB);
  EXPECT_EQ(update(32 * kMiB, 32 * kMiB), 32 * kMiB);
  EXPECT_EQ(update(-1, -1), UINT64_MAX);
  oci::Resources change;
  change.pids_limit = -1;
  change.cpu = oci::CpuLimits{.shares = 100, .quota = 20000};
  ASSERT_TRUE(groups.set().update(change));
  EXPECT_EQ(groups.set().stats().pids.limit, UINT64_MAX);
}

TEST(CgroupLive, AnUpdateThatFailsIsPutBack) {
  SKIP_WITHOUT("memory");
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{.limit = 64 * kMiB};
  LiveGroups groups(with(resources));
  ASSERT_EQ(groups.error(), "");
  oci::Resources change;
  change.memory = oci::MemoryLimits{.limit = 128 * kMiB};
  change.cpu = oci::CpuLimits{.period = 1};  // the kernel takes 1000 at least
  const auto refused = groups.set().update(change);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("put back"), std::string::npos)
      << refused.error().message();
  EXPECT_EQ(groups.set().stats().memory.memory.limit.value_or(0), 64 * kMiB);
}

TEST(CgroupLive, CheckBeforeUpdateRefusesALimitBelowTheUse) {
  SKIP_WITHOUT("memory");
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  groups.start([&] {
    if (!touch(32 * kMiB) || ::write(ready[1], "x", 1) != 1) return false;
    return sleep_for_ever();
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  oci::Resources change;
  change.memory = oci::MemoryLimits{.limit = 8 * kMiB, .check_before_update = true};
  const auto refused = groups.set().update(change);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("checkBeforeUpdate"), std::string::npos);
  change.memory->limit = 256 * kMiB;
  EXPECT_TRUE(groups.set().update(change));
}

TEST(CgroupLive, AnUpdateOfTheDevicesTakesEffect) {
  SKIP_UNLESS_ROOT();
  const auto open_kmsg = [] { return can_open("/dev/kmsg", O_RDONLY); };
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  EXPECT_FALSE(groups.inside(open_kmsg));
  oci::Resources change;
  change.devices = {{false, "a", {}, {}, "rwm"}, {true, "c", 1, 11, "r"}};
  ASSERT_TRUE(groups.set().update(change));
  EXPECT_TRUE(groups.inside(open_kmsg));
  change.devices.pop_back();
  ASSERT_TRUE(groups.set().update(change));
  EXPECT_FALSE(groups.inside(open_kmsg));
  EXPECT_TRUE(groups.inside([] { return can_open("/dev/null", O_RDWR); }));
}

TEST(CgroupLive, AHugePageLimitIsReadBackFromWhicheverVersion) {
  SKIP_WITHOUT("hugetlb");
  if (::access("/sys/kernel/mm/hugepages/hugepages-2048kB", F_OK) != 0)
    GTEST_SKIP() << "this kernel has no pages of 2 MB";
  std::string root;
  for (const CgroupHierarchy& one : testing::this_host().cgroups)
    if (one.v2) root = one.mount_point;
  const bool was_on =
      root.empty() ||
      cgroup::has_word(value_of(root, "cgroup.subtree_control").value_or(""), "hugetlb");
  {
    oci::Resources resources;
    resources.hugepage_limits = {{"2MB", 4 * kMiB}};
    LiveGroups groups(with(resources));
    ASSERT_EQ(groups.error(), "");
    const std::string v1 = groups.directory("hugetlb");
    if (!v1.empty()) {
      EXPECT_EQ(number_of(v1, "hugetlb.2MB.limit_in_bytes"), 4 * kMiB);
    } else {
      EXPECT_EQ(number_of(groups.directory(""), "hugetlb.2MB.max"), 4 * kMiB);
      EXPECT_EQ(number_of(groups.directory(""), "hugetlb.2MB.rsvd.max"), 4 * kMiB);
    }
    EXPECT_EQ(groups.set().stats().hugetlb.count("2MB"), 1U);
  }
  if (!was_on)
    (void)write_file_at(AT_FDCWD, (root + "/cgroup.subtree_control").c_str(), "-hugetlb");
}

TEST(CgroupLive, AKernelMemoryLimitThatTheKernelIgnoresIsAnError) {
  SKIP_WITHOUT("memory");
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{.kernel = 64 * kMiB};
  LiveGroups groups(with(resources));
  // Kernels up to 5.15 obey; later ones accept and ignore, and v2 never had it.
  const std::string v1 = groups.directory("memory");
  if (groups.error().empty()) {
    EXPECT_EQ(number_of(v1, "memory.kmem.limit_in_bytes"), 64 * kMiB);
  } else {
    EXPECT_NE(groups.error().find("/linux/resources/memory/kernel"), std::string::npos)
        << groups.error();
  }
}

TEST(CgroupLive, ReadsPressureAndProcessCounts) {
  SKIP_WITHOUT("pids");
  LiveGroups groups;
  ASSERT_EQ(groups.error(), "");
  groups.start(sleep_for_ever);
  EXPECT_TRUE(eventually([&] { return groups.set().stats().pids.current == 1U; }));
  if (!groups.directory("").empty() && ::access("/proc/pressure/cpu", F_OK) == 0) {
    EXPECT_TRUE(groups.set().stats().cpu.pressure.has_value());
  }
}

}  // namespace
}  // namespace bulkhead::isolation
