#include "isolation/descriptors/descriptors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

// In a test child: as if the runtime's caller had left nothing behind.
void close_everything() { ::syscall(SYS_close_range, 3U, ~0U, 0U); }

TEST(Descriptors, HoldAfterApply) {
  EXPECT_TRUE(in_child([] {
    const int leaked = ::open("/", O_RDONLY | O_DIRECTORY);
    ::dup2(leaked, 777);
    TestChild child;
    child.context.root = leaked;
    const auto applied = Descriptors::apply({}, child);
    if (!applied) return testing::answer_of(applied);
    const int proc = child.context.proc;
    const auto verified = Descriptors::verify({}, child);
    if (!verified) return testing::answer_of(verified);
    return !is_open(leaked) && !is_open(777) && !is_open(proc) && child.context.proc == -1 &&
           child.context.root == -1;
  }));
}

TEST(Descriptors, KeepWhatTheLaunchNeeds) {
  EXPECT_TRUE(in_child([] {
    close_everything();
    TestChild child;
    const std::array<int, 3> keep{::fcntl(0, F_DUPFD_CLOEXEC, 90), ::fcntl(0, F_DUPFD_CLOEXEC, 20),
                                  ::fcntl(0, F_DUPFD_CLOEXEC, 21)};
    for (int fd = 22; fd < 90; ++fd) ::dup2(0, fd);
    child.context.keep = keep;
    if (!Descriptors::apply({}, child) || !Descriptors::verify({}, child)) return false;
    for (const int fd : keep)
      if (!is_open(fd)) return false;
    return !is_open(22) && !is_open(89) && !is_open(91) && !is_open(3);
  }));
}

TEST(Descriptors, GiveThePreservedOnesToTheProgram) {
  EXPECT_TRUE(in_child([] {
    close_everything();
    ::open("/dev/null", O_RDONLY | O_CLOEXEC);  // 3
    ::open("/dev/null", O_RDONLY);              // 4
    ::open("/dev/null", O_RDONLY);              // 5: too many
    TestChild child;
    const Descriptors::Plan plan{2};
    if (!Descriptors::apply(plan, child) || !Descriptors::verify(plan, child)) return false;
    return ::fcntl(3, F_GETFD) == 0 && ::fcntl(4, F_GETFD) == 0 && !is_open(5);
  }));
}

TEST(Descriptors, RefuseToPreserveWhatIsNotOpen) {
  EXPECT_TRUE(in_child([] {
    close_everything();
    TestChild child;  // procfs takes 3: it is the launch's, not the program's
    const auto applied = Descriptors::apply({2}, child);
    return !applied && applied.error().error == EBADF;
  }));
}

TEST(Descriptors, VerifyNoticesThatApplyNeverRan) {
  EXPECT_TRUE(in_child([] {
    TestChild child;
    ::dup2(0, 300);
    return !Descriptors::verify({}, child);
  }));
}

TEST(Descriptors, VerifyNoticesAKeptDescriptorThatSurvivesExecve) {
  EXPECT_TRUE(in_child([] {
    TestChild child;
    const std::array<int, 1> keep{::fcntl(0, F_DUPFD, 50)};
    child.context.keep = keep;
    return Descriptors::apply({}, child) && !Descriptors::verify({}, child);
  }));
}

TEST(Descriptors, FailClosedWhenTheKernelRefuses) {
  EXPECT_TRUE(in_child([] {
    TestChild child;
    testing::kernel_refuses(SYS_close_range, EPERM);
    return !Descriptors::apply({}, child);
  }));
  EXPECT_TRUE(in_child([] {
    TestChild child;
    testing::kernel_refuses(SYS_newfstatat, EPERM);
    return Descriptors::apply({}, child) && !Descriptors::verify({}, child);
  }));
}

TEST(Descriptors, AreListedWhereTheKernelDoesNotCountThem) {
  EXPECT_TRUE(in_child([] {
    TestChild child;
    for (int fd = 200; fd < 900; ++fd) ::dup2(0, fd);  // more than one buffer of names
    if (Descriptors::verify_by_listing({}, child)) return false;
    return Descriptors::apply({}, child) && Descriptors::verify_by_listing({}, child) &&
           ::dup2(0, 899) == 899 && !Descriptors::verify_by_listing({}, child);
  }));
}

TEST(Descriptors, CannotBeSeenWithoutAProcfs) {
  EXPECT_TRUE(in_child([] {
    TestChild child;
    child.context.proc = -1;
    return Descriptors::apply({}, child) && !Descriptors::verify({}, child);
  }));
}

}  // namespace
}  // namespace bulkhead::isolation
