#include "engine/health.h"

#include <gtest/gtest.h>

namespace bulkhead::engine {
namespace {

using supervise::Health;

oci::ExecutionParameters image_with(std::vector<std::string> test) {
  oci::ExecutionParameters image;
  image.healthcheck.emplace();
  image.healthcheck->test = std::move(test);
  image.healthcheck->interval = 5'000'000'000;
  image.healthcheck->retries = 7;
  return image;
}

TEST(HealthCheck, IsTheImagesWhereNoFlagSaysOtherwise) {
  const auto check = choose_health_check({}, image_with({"CMD", "/check", "a b"}));
  ASSERT_TRUE(check);
  EXPECT_TRUE(check->enabled());
  EXPECT_EQ(check->arguments(), (std::vector<std::string>{"/check", "a b"}));
  EXPECT_EQ(check->settings.interval, 5000);
  EXPECT_EQ(check->settings.timeout, 30'000);
  EXPECT_EQ(check->settings.retries, 7U);
}

TEST(HealthCheck, TakesEachFlagByItself) {
  RunOptions options;
  options.health_timeout = "2s";
  options.health_retries = "1";
  const auto check = choose_health_check(options, image_with({"CMD-SHELL", "true"}));
  ASSERT_TRUE(check);
  EXPECT_EQ(check->settings.timeout, 2000);
  EXPECT_EQ(check->settings.retries, 1U);
  EXPECT_EQ(check->settings.interval, 5000);
  EXPECT_EQ(check->arguments(), (std::vector<std::string>{"/bin/sh", "-c", "true"}));
}

TEST(HealthCheck, RunsTheImagesShell) {
  oci::ExecutionParameters image = image_with({"CMD-SHELL", "x"});
  image.shell = {"/bin/bash", "-euc"};
  RunOptions options;
  options.health_command = "exit 1";
  const auto check = choose_health_check(options, image);
  ASSERT_TRUE(check);
  EXPECT_EQ(check->arguments(), (std::vector<std::string>{"/bin/bash", "-euc", "exit 1"}));
}

TEST(HealthCheck, CanBeTurnedOff) {
  RunOptions options;
  options.no_health_check = true;
  EXPECT_FALSE(choose_health_check(options, image_with({"CMD", "x"}))->enabled());
  EXPECT_FALSE(choose_health_check({}, image_with({"NONE"}))->enabled());
  EXPECT_FALSE(choose_health_check({}, oci::ExecutionParameters{})->enabled());
  options.health_interval = "1s";
  EXPECT_FALSE(check_health_flags(options));
}

TEST(HealthCheck, RefusesWhatIsNoCheck) {
  EXPECT_FALSE(choose_health_check({}, image_with({"CMD"})));
  EXPECT_FALSE(choose_health_check({}, image_with({"SOMETHING", "x"})));
  EXPECT_FALSE(choose_health_check({}, image_with({"CMD-SHELL", "a", "b"})));
  RunOptions options;
  options.health_interval = "soon";
  EXPECT_FALSE(check_health_flags(options));
  options = {};
  options.health_retries = "-1";
  EXPECT_FALSE(check_health_flags(options));
}

TEST(HealthCheck, TakesNonsenseOfAnImageAsNotSaid) {
  oci::ExecutionParameters image = image_with({"CMD", "x"});
  image.healthcheck->interval = -5;
  image.healthcheck->timeout = 1;
  image.healthcheck->retries = -1;
  const auto check = choose_health_check({}, image);
  ASSERT_TRUE(check);
  EXPECT_EQ(check->settings.interval, 30'000);
  EXPECT_EQ(check->settings.timeout, 1);
  EXPECT_EQ(check->settings.retries, 3U);
}

HealthCheck with_retries(std::uint32_t retries) {
  HealthCheck check;
  check.settings.enabled = true;
  check.settings.retries = retries;
  return check;
}

TEST(HealthRecord, IsUnhealthyAfterSoManyFailuresInARow) {
  const HealthCheck check = with_retries(2);
  HealthRecord record;
  add_result(record, {.start = {}, .end = {}, .exit_code = 1, .output = {}}, check, false);
  EXPECT_EQ(record.health, Health::kStarting);
  add_result(record, {.start = {}, .end = {}, .exit_code = -1, .output = {}}, check, false);
  EXPECT_EQ(record.health, Health::kUnhealthy);
  EXPECT_EQ(record.failing_streak, 2U);
  add_result(record, {}, check, false);
  EXPECT_EQ(record.health, Health::kHealthy);
  EXPECT_EQ(record.failing_streak, 0U);
}

TEST(HealthRecord, CountsNoFailureOfAStartButTakesASuccess) {
  const HealthCheck check = with_retries(1);
  HealthRecord record;
  add_result(record, {.start = {}, .end = {}, .exit_code = 1, .output = {}}, check, true);
  EXPECT_EQ(record.health, Health::kStarting);
  EXPECT_EQ(record.failing_streak, 0U);
  add_result(record, {}, check, true);
  EXPECT_EQ(record.health, Health::kHealthy);
  add_result(record, {.start = {}, .end = {}, .exit_code = 1, .output = {}}, check, true);
  EXPECT_EQ(record.health, Health::kUnhealthy) << "it had started";
}

TEST(HealthRecord, KeepsTheLastFive) {
  HealthRecord record;
  for (int i = 0; i < 9; ++i)
    add_result(record, {.start = {}, .end = {}, .exit_code = i, .output = "x\n"}, with_retries(3),
               false);
  ASSERT_EQ(record.log.size(), 5U);
  EXPECT_EQ(record.log.front().exit_code, 4);
  const auto again = decode_health_record(encode(record));
  ASSERT_TRUE(again);
  EXPECT_EQ(encode(*again), encode(record));
}

}  // namespace
}  // namespace bulkhead::engine
