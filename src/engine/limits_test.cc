#include "engine/limits.h"

#include <gtest/gtest.h>

#include <limits>

namespace bulkhead::engine {
namespace {

TEST(Limits, ReadsUlimits) {
  const auto both = parse_ulimit("nofile=100:200");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->type, "RLIMIT_NOFILE");
  EXPECT_EQ(both->soft, 100U);
  EXPECT_EQ(both->hard, 200U);
  EXPECT_EQ(parse_ulimit("core=0")->hard, 0U);
  EXPECT_EQ(parse_ulimit("memlock=-1")->hard, std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"", "nofile", "nofile=", "nofile=x", "nofile=2:1", "banana=1",
                           "nofile=1:2:3", "nofile=-2", "as=1", "nofile=1:", "nofile=:1"})
    EXPECT_FALSE(parse_ulimit(text)) << text;
}

TEST(Limits, TakesTheLastUlimitOfAName) {
  RunOptions options;
  options.ulimits = {"nofile=1", "core=0", "nofile=2"};
  const auto limits = read_further_limits(options);
  ASSERT_TRUE(limits);
  ASSERT_EQ(limits->rlimits.size(), 2U);
  EXPECT_EQ(limits->rlimits.back().soft, 2U);
}

TEST(Limits, ReadsLimitsOfDisks) {
  const auto rate = parse_block_limit("--device-read-bps", "/dev/sda:1mb", BlockValue::kBytes);
  ASSERT_TRUE(rate);
  EXPECT_EQ(rate->path, "/dev/sda");
  EXPECT_EQ(rate->value, 1U << 20);
  EXPECT_EQ(parse_block_limit("x", "/dev/sda:7", BlockValue::kOperations)->value, 7U);
  EXPECT_FALSE(parse_block_limit("x", "/dev/sda:7k", BlockValue::kOperations));
  EXPECT_FALSE(parse_block_limit("x", "/dev/sda:5", BlockValue::kWeight));
  for (const char* text : {"", "/dev/sda", "/dev/sda:", "sda:1", "/etc/passwd:1", "/dev/sda:0",
                           "/dev/sda:-1", "/dev/sda:99999999999999999999"})
    EXPECT_FALSE(parse_block_limit("x", text, BlockValue::kBytes)) << text;
}

TEST(Limits, KnowsListsOfNumbers) {
  for (const char* text : {"0", "0-3", "0-3,7", "1,2,3", "5-5"})
    EXPECT_TRUE(is_number_list(text)) << text;
  for (const char* text : {"", ",", "0-", "-3", "3-0", "a", "0,", "0 - 3", "99999999"})
    EXPECT_FALSE(is_number_list(text)) << text;
}

struct WrongValue {
  std::optional<std::string> RunOptions::* flag;
  const char* value;
};

TEST(Limits, RefusesWhatIsOutOfRange) {
  for (const auto& [flag, value] : std::vector<WrongValue>{
           {&RunOptions::memory_reservation, "1k"}, {&RunOptions::memory_reservation, "-1"},
           {&RunOptions::memory_swappiness, "101"}, {&RunOptions::memory_swappiness, "-1"},
           {&RunOptions::oom_score_adj, "1001"},    {&RunOptions::oom_score_adj, "-1001"},
           {&RunOptions::cpu_shares, "1"},          {&RunOptions::cpu_shares, "262145"},
           {&RunOptions::cpu_period, "999"},        {&RunOptions::cpu_period, "1000001"},
           {&RunOptions::cpu_quota, "999"},         {&RunOptions::cpu_quota, "-2"},
           {&RunOptions::cpu_rt_runtime, "-1"},     {&RunOptions::cpuset_cpus, "x"},
           {&RunOptions::cpuset_mems, "1-"},        {&RunOptions::blkio_weight, "9"},
           {&RunOptions::blkio_weight, "1001"},     {&RunOptions::shm_size, "0"},
           {&RunOptions::output_limit, "much"},     {&RunOptions::output_limit, "0"}}) {
    RunOptions options;
    options.*flag = value;
    const auto limits = read_further_limits(options);
    ASSERT_FALSE(limits) << value;
    EXPECT_NE(limits.error().message().find(value), std::string::npos) << limits.error().message();
  }
}

TEST(Limits, RefusesContradictions) {
  RunOptions options;
  options.cpus = "1";
  options.cpu_quota = "50000";
  EXPECT_FALSE(read_further_limits(options));
  options = {};
  options.oom_kill_disable = true;
  EXPECT_FALSE(read_further_limits(options)) << "without --memory the host would stand still";
  options.memory = "64m";
  EXPECT_TRUE(read_further_limits(options));
  options = {};
  options.cpu_rt_period = "1000";
  options.cpu_rt_runtime = "2000";
  EXPECT_FALSE(read_further_limits(options));
}

TEST(Limits, KnowsWhichAreOfControlGroups) {
  RunOptions options;
  EXPECT_FALSE(read_further_limits(options)->any_of_cgroups());
  options.ulimits = {"core=0"};
  options.shm_size = "1m";
  EXPECT_FALSE(read_further_limits(options)->any_of_cgroups());
  options.cpu_shares = "512";
  EXPECT_TRUE(read_further_limits(options)->any_of_cgroups());
}

}  // namespace
}  // namespace bulkhead::engine
