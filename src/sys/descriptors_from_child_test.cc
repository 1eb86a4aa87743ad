#include "sys/descriptors_from_child.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace bulkhead {
namespace {

bool has_child() { return ::waitpid(-1, nullptr, WNOHANG) == 0; }

TEST(DescriptorsFromChild, ArriveInOrderAndLeaveNoChild) {
  const auto files = descriptors_from_child(2, [](const GiveDescriptor& give) -> SysResult<void> {
    for (const char* text : {"one", "two"}) {
      const Fd file(::memfd_create("given", MFD_CLOEXEC));
      if (::write(file.get(), text, 3) != 3) return sys_fail("write");
      give(file);
    }
    return {};
  });
  ASSERT_TRUE(files);
  ASSERT_EQ(files->size(), 2U);
  char text[4] = {};
  EXPECT_EQ(::pread((*files)[0].get(), text, 3, 0), 3);
  EXPECT_STREQ(text, "one");
  EXPECT_EQ(::pread((*files)[1].get(), text, 3, 0), 3);
  EXPECT_STREQ(text, "two");
  EXPECT_FALSE(has_child());
}

TEST(DescriptorsFromChild, BringWhatFailedAndWhy) {
  const auto failed = descriptors_from_child(2, [](const GiveDescriptor& give) -> SysResult<void> {
    give(Fd(::memfd_create("given", MFD_CLOEXEC)));
    return sys_fail_with(EDOM, "mount");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error, EDOM);
  EXPECT_STREQ(failed.error().call, "mount");
  EXPECT_FALSE(has_child());
}

TEST(DescriptorsFromChild, NoticeAChildThatEndsEarly) {
  const auto silent =
      descriptors_from_child(1, [](const GiveDescriptor&) -> SysResult<void> { ::_exit(3); });
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().error, EPIPE);
  EXPECT_FALSE(has_child());
}

}  // namespace
}  // namespace bulkhead
