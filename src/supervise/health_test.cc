#include "supervise/health.h"

#include <gtest/gtest.h>

namespace bulkhead::supervise {
namespace {

TEST(HealthSchedule, ChecksAnIntervalAfterTheStartAndAfterEachCheck) {
  HealthSchedule schedule;
  EXPECT_EQ(schedule.due_at(), HealthSchedule::kNever);
  schedule.start({.enabled = true, .interval = 1000}, 500);
  EXPECT_EQ(schedule.due_at(), 1500);
  EXPECT_FALSE(schedule.is_due(1499));
  EXPECT_TRUE(schedule.is_due(1500));
  schedule.begun();
  EXPECT_FALSE(schedule.is_due(100'000)) << "one at a time";
  schedule.ended(Health::kUnhealthy, 4000);
  EXPECT_EQ(schedule.due_at(), 5000);
  schedule.stop();
  EXPECT_FALSE(schedule.is_due(100'000));
}

TEST(HealthSchedule, ChecksMoreOftenWhileTheContainerStarts) {
  HealthSchedule schedule;
  schedule.start(
      {.enabled = true, .interval = 30'000, .start_period = 10'000, .start_interval = 100}, 0);
  EXPECT_EQ(schedule.due_at(), 100);
  schedule.ended(Health::kStarting, 200);
  EXPECT_EQ(schedule.due_at(), 300);
  schedule.ended(Health::kHealthy, 400);
  EXPECT_EQ(schedule.due_at(), 30'400) << "it has started";
  schedule.ended(Health::kStarting, 10'000);
  EXPECT_EQ(schedule.due_at(), 40'000) << "the period is over";
}

TEST(HealthSchedule, NeverChecksWhatHasNoCheck) {
  HealthSchedule schedule;
  schedule.start({}, 0);
  EXPECT_EQ(schedule.due_at(), HealthSchedule::kNever);
  schedule.ended(Health::kHealthy, 100);
  EXPECT_EQ(schedule.due_at(), HealthSchedule::kNever);
}

}  // namespace
}  // namespace bulkhead::supervise
