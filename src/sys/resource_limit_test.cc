#include "sys/resource_limit.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bulkhead {
namespace {

// In a process of its own: what is lowered stays low.
bool holds(bool (*check)()) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int status = 1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

TEST(LowerLimit, HoldsAndRaisesNothing) {
  EXPECT_TRUE(holds([] {
    struct rlimit now{};
    if (!lower_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", 5)) return false;
    ::getrlimit(RLIMIT_NOFILE, &now);
    if (now.rlim_cur != 5 || now.rlim_max != 5) return false;
    if (!lower_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", 500)) return false;
    ::getrlimit(RLIMIT_NOFILE, &now);
    return now.rlim_cur == 5 && now.rlim_max == 5 && ::dup2(0, 7) < 0;
  }));
  EXPECT_TRUE(holds([] { return ::dup2(0, 7) == 7; })) << "without it";
}

TEST(LowerLimit, LeavesASoftLimitThatIsLower) {
  EXPECT_TRUE(holds([] {
    struct rlimit now{};
    ::getrlimit(RLIMIT_NOFILE, &now);
    now.rlim_cur = 10;
    ::setrlimit(RLIMIT_NOFILE, &now);
    if (!lower_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", 20)) return false;
    ::getrlimit(RLIMIT_NOFILE, &now);
    return now.rlim_cur == 10 && now.rlim_max == 20;
  }));
}

TEST(LowerLimit, NamesWhatIsWrong) {
  const auto refused = lower_limit(__RLIMIT_NLIMITS, "RLIMIT_NONE", 1);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message().contains("RLIMIT_NONE")) << refused.error().message();
}

}  // namespace
}  // namespace bulkhead
