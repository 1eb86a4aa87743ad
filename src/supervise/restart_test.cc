#include "supervise/restart.h"

#include <gtest/gtest.h>

namespace bulkhead::supervise {
namespace {

constexpr ExitStatus kSuccess{0, 0};
constexpr ExitStatus kFailure{1, 0};
constexpr ExitStatus kKilled{0, 9};

TEST(RestartPolicy, IsReadAndWrittenAlike) {
  for (const char* text : {"no", "on-failure", "on-failure:3", "always", "unless-stopped"}) {
    const auto policy = parse_restart_policy(text);
    ASSERT_TRUE(policy) << text;
    EXPECT_EQ(text_of(*policy), text);
  }
}

TEST(RestartPolicy, RefusesEverythingElse) {
  for (const char* text : {"", "never", "on-failure:", "on-failure:-1", "on-failure:x",
                           "on-failure:99999999999", "always:3", "no:1", "ALWAYS"})
    EXPECT_FALSE(parse_restart_policy(text)) << text;
}

TEST(RestartPolicy, DecidesByTheExit) {
  EXPECT_FALSE(wants_restart({RestartKind::kNo}, kFailure, 0));
  EXPECT_TRUE(wants_restart({RestartKind::kAlways}, kSuccess, 1000));
  EXPECT_TRUE(wants_restart({RestartKind::kUnlessStopped}, kSuccess, 0));
  EXPECT_FALSE(wants_restart({RestartKind::kOnFailure}, kSuccess, 0));
  EXPECT_TRUE(wants_restart({RestartKind::kOnFailure}, kKilled, 1000));
  EXPECT_TRUE(wants_restart({RestartKind::kOnFailure, 3}, kFailure, 2));
  EXPECT_FALSE(wants_restart({RestartKind::kOnFailure, 3}, kFailure, 3));
}

TEST(Backoff, DoublesUpToAMinuteAndBeginsAnewAfterTenSeconds) {
  Backoff backoff;
  for (const std::int64_t expected :
       {100, 200, 400, 800, 1600, 3200, 6400, 12'800, 25'600, 51'200, 60'000, 60'000})
    EXPECT_EQ(backoff.next_milliseconds(9'999), expected);
  EXPECT_EQ(backoff.next_milliseconds(10'000), 100);
  EXPECT_EQ(backoff.next_milliseconds(0), 200);
}

}  // namespace
}  // namespace bulkhead::supervise
