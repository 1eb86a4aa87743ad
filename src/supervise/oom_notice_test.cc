#include "supervise/oom_notice.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace bulkhead::supervise {
namespace {

Fd counter_of(const std::string& text) {
  Fd file(::memfd_create("counter", MFD_CLOEXEC));
  EXPECT_EQ(::pwrite(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  return file;
}

TEST(OomNotice, CountsKillsOnce) {
  Fd counter = counter_of("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
  const int file = counter.get();
  OomNotice notice(Fd(), std::move(counter));
  EXPECT_EQ(notice.get(), file);
  EXPECT_EQ(notice.events(), POLLPRI);
  EXPECT_EQ(notice.news(), 2U);
  EXPECT_EQ(notice.news(), 0U);
  ASSERT_EQ(::pwrite(file, "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", 43, 0), 43);
  EXPECT_EQ(notice.news(), 3U);
}

TEST(OomNotice, AnswersItsBell) {
  Fd bell(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  const int number = bell.get();
  OomNotice notice(std::move(bell), counter_of("low 0\noom 1\noom_kill 0\n"));
  EXPECT_EQ(notice.get(), number);
  EXPECT_EQ(notice.events(), POLLIN);
  // It rings before anything is killed.
  EXPECT_EQ(notice.news(), 0U);
  struct pollfd item{number, POLLIN, 0};
  EXPECT_EQ(::poll(&item, 1, 0), 0);
}

TEST(OomNotice, IsSilentWithoutACounter) {
  OomNotice none;
  EXPECT_EQ(none.get(), -1);
  EXPECT_EQ(none.news(), 0U);
  OomNotice odd(Fd(), counter_of("oom_kill x\n"));
  EXPECT_EQ(odd.news(), 0U);
}

}  // namespace
}  // namespace bulkhead::supervise
