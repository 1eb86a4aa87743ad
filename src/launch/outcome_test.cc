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
  ASSERT_TRUE(outcome->seal());
  const auto other = Outcome::open(Fd(::fcntl(outcome->descriptor(), F_DUPFD_CLOEXEC, 0)));
  ASSERT_TRUE(other);
  outcome->set_executing();
  EXPECT_EQ(other->phase(), Phase::kExecuting);
}

// A container's process that has been taken over could shorten the page under its reader.
TEST(Outcome, IsTakenFromElsewhereOnlyWhereItCannotShrink) {
  const auto outcome = Outcome::make();
  ASSERT_TRUE(outcome);
  const auto copy = [&] { return Fd(::fcntl(outcome->descriptor(), F_DUPFD_CLOEXEC, 0)); };
  const auto unsealed = Outcome::open(copy());
  ASSERT_FALSE(unsealed);
  EXPECT_EQ(unsealed.error().error, EBADMSG);
  ASSERT_EQ(::ftruncate(outcome->descriptor(), 8), 0);
  ASSERT_TRUE(outcome->seal());
  EXPECT_FALSE(Outcome::open(copy()));
  EXPECT_NE(::ftruncate(outcome->descriptor(), 0), 0);
  EXPECT_FALSE(Outcome::open(Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC))));
}

TEST(Outcome, NamesNothingThatATerminalWouldObey) {
  const auto outcome = Outcome::make();
  ASSERT_TRUE(outcome);
  outcome->set_failed("a\x1b[2Jb", {"c\nd\xff", EPERM});
  EXPECT_STREQ(outcome->failure().layer, "a?[2Jb");
  EXPECT_STREQ(outcome->failure().call, "c?d?");
}

}  // namespace
}  // namespace bulkhead::launch
