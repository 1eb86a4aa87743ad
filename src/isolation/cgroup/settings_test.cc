#include "isolation/cgroup/settings.h"

#include <gtest/gtest.h>

namespace bulkhead::isolation::cgroup {
namespace {

using enum CgroupVersion;
using enum Moment;

std::string text(const Result<Settings>& settings) {
  if (!settings) return "error: " + settings.error().message();
  std::string text;
  for (const CgroupSetting& setting : *settings)
    text.append(text.empty() ? "" : "; ").append(setting.file).append("=").append(setting.value);
  return text;
}

oci::MemoryLimits memory(std::optional<std::int64_t> limit, std::optional<std::int64_t> swap = {}) {
  oci::MemoryLimits limits;
  limits.limit = limit;
  limits.swap = swap;
  return limits;
}

TEST(MemorySettings, LimitsAreWrittenMemoryFirst) {
  EXPECT_EQ(text(memory_settings(memory(4096, 8192), kV1, kCreate)),
            "memory.limit_in_bytes=4096; memory.memsw.limit_in_bytes=8192");
  EXPECT_EQ(text(memory_settings(memory(4096, 8192), kV2, kCreate)),
            "memory.max=4096; memory.swap.max=4096");
  EXPECT_EQ(text(memory_settings(memory(4096, 4096), kV2, kCreate)),
            "memory.max=4096; memory.swap.max=0");
}

TEST(MemorySettings, WhatANewGroupHasAnywayIsNotWritten) {
  EXPECT_EQ(text(memory_settings(memory(-1, -1), kV1, kCreate)), "");
  EXPECT_EQ(text(memory_settings(memory(-1, -1), kV2, kCreate)), "");
  EXPECT_EQ(text(memory_settings(memory(0, 0), kV1, kCreate)), "");
  oci::MemoryLimits limits;
  limits.disable_oom_killer = false;
  limits.use_hierarchy = true;
  limits.reservation = 0;
  EXPECT_EQ(text(memory_settings(limits, kV1, kCreate)), "");
}

TEST(MemorySettings, AnUpdateWritesUnlimitedToo) {
  EXPECT_EQ(text(memory_settings(memory(-1, -1), kV1, kUpdate)),
            "memory.limit_in_bytes=-1; memory.memsw.limit_in_bytes=-1");
  EXPECT_EQ(text(memory_settings(memory(-1), kV1, kUpdate)),
            "memory.limit_in_bytes=-1; memory.memsw.limit_in_bytes=-1");
  EXPECT_EQ(text(memory_settings(memory(-1, -1), kV2, kUpdate)),
            "memory.max=max; memory.swap.max=max");
}

TEST(MemorySettings, EveryOtherFieldHasItsFile) {
  oci::MemoryLimits limits;
  limits.reservation = 100;
  limits.kernel = 200;
  limits.kernel_tcp = 300;
  limits.swappiness = 0;
  limits.disable_oom_killer = true;
  limits.use_hierarchy = false;
  EXPECT_EQ(
      text(memory_settings(limits, kV1, kCreate)),
      "memory.use_hierarchy=0; memory.soft_limit_in_bytes=100; memory.kmem.limit_in_bytes=200; "
      "memory.kmem.tcp.limit_in_bytes=300; memory.swappiness=0; memory.oom_control=1");
  limits = {};
  limits.reservation = 100;
  EXPECT_EQ(text(memory_settings(limits, kV2, kCreate)), "memory.low=100");
}

TEST(MemorySettings, WhatVersionTwoCannotDoIsRefused) {
  const auto refused = [](auto change) {
    oci::MemoryLimits limits;
    change(limits);
    const auto result = memory_settings(limits, kV2, kCreate);
    return !result && result.error().kind() == ErrorKind::kUnsupported;
  };
  EXPECT_TRUE(refused([](auto& limits) { limits.swappiness = 60; }));
  EXPECT_TRUE(refused([](auto& limits) { limits.disable_oom_killer = true; }));
  EXPECT_TRUE(refused([](auto& limits) { limits.kernel = 4096; }));
  EXPECT_TRUE(refused([](auto& limits) { limits.kernel_tcp = 4096; }));
  EXPECT_TRUE(refused([](auto& limits) { limits.use_hierarchy = false; }));
  EXPECT_FALSE(refused([](auto& limits) { limits.disable_oom_killer = false; }));
  EXPECT_FALSE(refused([](auto& limits) { limits.kernel = -1; }));
}

TEST(MemorySettings, ContradictionsNameTheirField) {
  const auto message = [](const oci::MemoryLimits& limits) {
    const auto result = memory_settings(limits, kV1, kCreate);
    return result ? "" : result.error().message();
  };
  EXPECT_NE(message(memory(8192, 4096)).find("/linux/resources/memory/swap"), std::string::npos);
  EXPECT_NE(message(memory(-1, 4096)).find("/linux/resources/memory/swap"), std::string::npos);
  EXPECT_NE(message(memory(-2)).find("/linux/resources/memory/limit"), std::string::npos);
  oci::MemoryLimits limits;
  limits.swappiness = 101;
  EXPECT_NE(message(limits).find("/linux/resources/memory/swappiness"), std::string::npos);
  EXPECT_FALSE(memory_settings(memory({}, 4096), kV2, kCreate));  // v2 cannot tell swap's share
}

TEST(CpuSettings, SharesBecomeWeights) {
  EXPECT_EQ(weight_of_shares(0), 1U);
  EXPECT_EQ(weight_of_shares(2), 1U);
  EXPECT_EQ(weight_of_shares(1024), 100U);
  EXPECT_EQ(weight_of_shares(262144), 10000U);
  EXPECT_EQ(weight_of_shares(UINT64_MAX), 10000U);
  std::uint64_t before = 0;
  for (std::uint64_t shares = 2; shares <= 262144; ++shares) {
    const std::uint64_t weight = weight_of_shares(shares);
    ASSERT_GE(weight, before) << shares;
    ASSERT_GE(weight, 1U);
    ASSERT_LE(weight, 10000U);
    before = weight;
  }
}

TEST(CpuSettings, QuotaFollowsPeriodAndBurstFollowsQuota) {
  oci::CpuLimits limits;
  limits.shares = 512;
  limits.quota = 150000;
  limits.period = 50000;
  limits.burst = 1000;
  limits.realtime_period = 1000000;
  limits.realtime_runtime = 950000;
  EXPECT_EQ(
      text(cpu_settings(limits, kV1, kCreate)),
      "cpu.shares=512; cpu.cfs_period_us=50000; cpu.cfs_quota_us=150000; cpu.cfs_burst_us=1000; "
      "cpu.rt_period_us=1000000; cpu.rt_runtime_us=950000");
  EXPECT_EQ(text(cpu_settings(limits, kV2, kCreate)),
            "error: /linux/resources/cpu/realtimePeriod: cgroup v2 has no real-time budgets");
  limits.realtime_period = {};
  limits.realtime_runtime = 0;
  EXPECT_EQ(text(cpu_settings(limits, kV2, kCreate)),
            "cpu.weight=59; cpu.max=150000 50000; cpu.max.burst=1000");
}

TEST(CpuSettings, WhatANewGroupHasAnywayIsNotWritten) {
  oci::CpuLimits limits;
  limits.shares = 0;
  limits.quota = -1;
  limits.period = 100000;
  limits.idle = 0;
  EXPECT_EQ(text(cpu_settings(limits, kV1, kCreate)), "");
  EXPECT_EQ(text(cpu_settings(limits, kV2, kCreate)), "");
  EXPECT_EQ(text(cpu_settings(limits, kV1, kUpdate)),
            "cpu.idle=0; cpu.cfs_period_us=100000; cpu.cfs_quota_us=-1");
  EXPECT_EQ(text(cpu_settings(limits, kV2, kUpdate)), "cpu.idle=0; cpu.max=max 100000");
}

TEST(CpuSettings, AnIdleGroupTakesNoWeight) {
  oci::CpuLimits limits;
  limits.shares = 1024;
  limits.idle = 1;
  EXPECT_EQ(text(cpu_settings(limits, kV2, kCreate)), "cpu.weight=100; cpu.idle=1");
  EXPECT_EQ(text(cpu_settings(limits, kV2, kUpdate)), "cpu.idle=0; cpu.weight=100; cpu.idle=1");
}

TEST(CpuSettings, NumbersOutsideTheirRangeAreRefused) {
  const auto refused = [](auto change, CgroupVersion version = kV1) {
    oci::CpuLimits limits;
    change(limits);
    return !cpu_settings(limits, version, kCreate);
  };
  EXPECT_TRUE(refused([](auto& limits) { limits.shares = 1; }));
  EXPECT_TRUE(refused([](auto& limits) { limits.shares = 262145; }));
  EXPECT_TRUE(refused([](auto& limits) { limits.quota = -2; }));
  EXPECT_TRUE(refused([](auto& limits) { limits.idle = 2; }));
  EXPECT_TRUE(refused([](auto& limits) {
    limits.quota = 1000;
    limits.burst = 1001;
  }));
  oci::CpuLimits limits;
  limits.cpus = "0-3,7\n0";
  EXPECT_FALSE(cpuset_settings(limits));
  limits.cpus = "0-3,7";
  limits.mems = "0";
  EXPECT_EQ(text(cpuset_settings(limits)), "cpuset.cpus=0-3,7; cpuset.mems=0");
}

TEST(PidsSettings, ZeroAndLessAreUnlimited) {
  EXPECT_EQ(text(pids_settings(32, kCreate)), "pids.max=32");
  EXPECT_EQ(text(pids_settings(0, kCreate)), "");
  EXPECT_EQ(text(pids_settings(-1, kUpdate)), "pids.max=max");
}

TEST(BlockIoSettings, WeightsAndThrottlesHaveTheirFiles) {
  oci::BlockIoLimits limits;
  limits.weight = 1000;
  limits.weight_device = {{8, 0, 10, {}}};
  limits.throttle_read_bps_device = {{8, 0, 600}};
  limits.throttle_write_bps_device = {{8, 16, 0}};
  limits.throttle_read_iops_device = {{8, 0, 5}};
  limits.throttle_write_iops_device = {{8, 0, 6}};
  EXPECT_EQ(text(block_io_settings(limits, kV1)),
            "blkio.weight=1000; blkio.bfq.weight=1000; blkio.weight_device=8:0 10; "
            "blkio.bfq.weight_device=8:0 10; blkio.throttle.read_bps_device=8:0 600; "
            "blkio.throttle.write_bps_device=8:16 0; blkio.throttle.read_iops_device=8:0 5; "
            "blkio.throttle.write_iops_device=8:0 6");
  EXPECT_EQ(text(block_io_settings(limits, kV2)),
            "io.bfq.weight=1000; io.weight=default 10000; io.bfq.weight=8:0 10; io.weight=8:0 1; "
            "io.max=8:0 rbps=600; io.max=8:16 wbps=max; io.max=8:0 riops=5; io.max=8:0 wiops=6");
  limits.weight = 9;
  EXPECT_FALSE(block_io_settings(limits, kV1));
  limits.weight = 0;
  limits.leaf_weight = 100;
  EXPECT_FALSE(block_io_settings(limits, kV2));
  limits.leaf_weight = {};
  limits.throttle_read_bps_device = {{-1, 0, 600}};
  EXPECT_FALSE(block_io_settings(limits, kV1));
}

TEST(OtherSettings, NamesThatCouldForgeALineAreRefused) {
  EXPECT_EQ(text(hugetlb_settings({{"2MB", 4096}}, kV1)),
            "hugetlb.2MB.limit_in_bytes=4096; hugetlb.2MB.rsvd.limit_in_bytes=4096");
  EXPECT_EQ(text(hugetlb_settings({{"1GB", 0}}, kV2)), "hugetlb.1GB.max=0; hugetlb.1GB.rsvd.max=0");
  for (const char* size : {"", "2", "MB", "2mb", "../2MB", "2MB/../x", "2TB"})
    EXPECT_FALSE(hugetlb_settings({{size, 1}}, kV1)) << size;
  EXPECT_EQ(text(rdma_settings({{"mlx5_1", {3, 10000}}})),
            "rdma.max=mlx5_1 hca_handle=3 hca_object=10000");
  EXPECT_FALSE(rdma_settings({{"a b", {3, {}}}}));
  EXPECT_FALSE(rdma_settings({{"a", {}}}));
  EXPECT_EQ(text(priority_settings({{"eth0", 5}})), "net_prio.ifpriomap=eth0 5");
  EXPECT_FALSE(priority_settings({{"eth0 5\nlo", 5}}));
  for (const char* key : {"", "memory", "../memory.max", "cgroup.procs", "cgroup.kill", "a/b.c",
                          ".x", "memory.max\n"})
    EXPECT_FALSE(unified_setting(key, "1")) << key;
  EXPECT_FALSE(unified_setting("memory.high", ""));
  EXPECT_TRUE(unified_setting("memory.high", "1\n2"));
}

TEST(ResourceSettings, ALimitWithoutAControllerIsRefusedOrLeftOut) {
  oci::Resources resources;
  resources.pids_limit = 100;
  const ControllerHomes none;
  const auto refused = resource_settings(resources, none, kCreate, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("/linux/resources/pids/limit"), std::string::npos);
  EXPECT_NE(refused.error().message().find("pids controller"), std::string::npos);
  std::vector<Fact> left_out;
  ASSERT_TRUE(resource_settings(resources, none, kCreate, &left_out));
  ASSERT_EQ(left_out.size(), 1U);
  EXPECT_EQ(left_out[0].name, "pids");
  resources.pids_limit = -1;  // asks for nothing
  EXPECT_TRUE(resource_settings(resources, none, kCreate, nullptr));
}

TEST(ResourceSettings, UnifiedKeysNeedTheControllerInVersionTwo) {
  oci::Resources resources;
  resources.unified = {{"memory.high", "4096"}};
  EXPECT_FALSE(resource_settings(resources, {{{"memory", kV1}}}, kCreate, nullptr));
  const auto settings = resource_settings(resources, {{{"memory", kV2}}}, kCreate, nullptr);
  ASSERT_TRUE(settings);
  ASSERT_EQ(settings->size(), 1U);
  EXPECT_EQ((*settings)[0].controller, "memory");
}

}  // namespace
}  // namespace bulkhead::isolation::cgroup
