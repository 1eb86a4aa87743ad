#include "launch/outcome.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "isolation/testing.h"

namespace bulkhead::launch {
namespace {

TEST(Outcome, IsSharedWithAChild) {
  const auto outcome = Outcome::make();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->phase(), Phase::kBuilding);
  EXPECT_TRUE(isolation::testing::in_child([&] {
    outcome->set_failed("mounts", {"move_mount", EPERM, "/dev"}, "#!/bin/sh");
    return true;
  }));
  ASSERT_EQ(outcome->phase(), Phase::kFailed);
  const Failure failure = outcome->failure();
  EXPECT_EQ(failure.error, EPERM);
  EXPECT_STREQ(failure.layer, "mounts");
  EXPECT_STREQ(failure.call, "move_mount");
  EXPECT_STREQ(failure.subject, "/dev");
  EXPECT_EQ(std::string(failure.head, failure.head_size), "#!/bin/sh");
}

TEST(Outcome, CutsWhatDoesNotFit) {
  const auto outcome = Outcome::make();
  ASSERT_TRUE(outcome);
  const std::string long_text(4000, 'x');
  outcome->set_failed(long_text, {"open", ENOENT, long_text.c_str()}, long_text);
  const Failure failure = outcome->failure();
  EXPECT_EQ(std::string(failure.layer).size(), sizeof failure.layer - 1);
  EXPECT_EQ(std::string(failure.subject).size(), sizeof failure.subject - 1);
  EXPECT_EQ(failure.head_size, sizeof failure.head);
}

TEST(Outcome, IsWrittenWhereEveryCallIsRefused) {
  const auto outcome = Outcome::make();
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(isolation::testing::in_child([&] {
    for (const long call : {SYS_write, SYS_sendmsg, SYS_mmap, SYS_munmap})
      isolation::testing::kernel_refuses(call, EPERM);
    outcome->set_executing();
    outcome->set_failed("exec", {"exec", ENOENT, "/x"});
    return true;
  }));
  EXPECT_EQ(outcome->phase(), Phase::kFailed);
}

TEST(Outcome, CanBeHandedToAProcessThatDoesNotInheritIt) {
  const auto outcome = Outcome::make();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(::fcntl(outcome->descriptor(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  const auto other = Outcome::open(Fd(::fcntl(outcome->descriptor(), F_DUPFD_CLOEXEC, 0)));
  ASSERT_TRUE(other);
  outcome->set_executing();
  EXPECT_EQ(other->phase(), Phase::kExecuting);
}

}  // namespace
}  // namespace bulkhead::launch
