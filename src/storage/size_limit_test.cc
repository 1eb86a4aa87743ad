#include "storage/size_limit.h"

#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <filesystem>
#include <thread>

#include "storage/limited_space.h"
#include "storage/project_quota.h"
#include "storage/testing.h"

namespace bulkhead::storage {
namespace {

constexpr std::uint64_t kLimit = 16 << 20;

TEST(SizeLimits, TakeTheBestMethodThereIs) {
  EXPECT_EQ(choose_limit_method({}, std::nullopt, Upper::kKept), LimitMethod::kProjectQuota);
  EXPECT_EQ(choose_limit_method({.project_quota = "no"}, std::nullopt, Upper::kKept),
            LimitMethod::kImageFile);
  EXPECT_EQ(choose_limit_method({.project_quota = "no", .image_file = "no"}, std::nullopt,
                                Upper::kDiscarded),
            LimitMethod::kTmpfs);
}

TEST(SizeLimits, AreRefusedWhereNothingEnforcesThem) {
  const auto method =
      choose_limit_method({.project_quota = "no quota", .image_file = "no loop"}, {}, Upper::kKept);
  ASSERT_FALSE(method);
  EXPECT_EQ(method.error().kind(), ErrorKind::kUnsupported);
  for (const char* reason : {"no quota", "no loop", "--rm"})
    EXPECT_NE(method.error().message().find(reason), std::string::npos) << reason;
}

TEST(SizeLimits, GiveWhatWasAskedForOrNothing) {
  EXPECT_EQ(choose_limit_method({}, LimitMethod::kImageFile, Upper::kKept),
            LimitMethod::kImageFile);
  for (const LimitMethod method : {LimitMethod::kProjectQuota, LimitMethod::kImageFile}) {
    const auto refused =
        choose_limit_method({.project_quota = "no", .image_file = "no"}, method, Upper::kDiscarded);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message().find(name_of(method)), std::string::npos);
  }
  EXPECT_FALSE(choose_limit_method({}, LimitMethod::kTmpfs, Upper::kKept));
}

TEST(SizeLimits, HaveNamesThatAreReadBack) {
  for (const LimitMethod method :
       {LimitMethod::kProjectQuota, LimitMethod::kImageFile, LimitMethod::kTmpfs})
    EXPECT_EQ(limit_method_named(name_of(method)), method);
  EXPECT_FALSE(limit_method_named(""));
  EXPECT_FALSE(limit_method_named("polling"));
}

// Loop devices that stand for files of this store: their number sinks to 0 once nothing uses them.
int loop_devices_of(const std::string& store) {
  int count = 0;
  for (const auto& device : std::filesystem::directory_iterator("/sys/block")) {
    const auto file = read_file_at(AT_FDCWD, (device.path() / "loop/backing_file").c_str());
    if (file && file->starts_with(store)) ++count;
  }
  return count;
}

class LimitedSpaces : public SnapshotTest,
                      public ::testing::WithParamInterface<std::tuple<LimitMethod, OverlayMethod>> {
 protected:
  void SetUp() override {
    SnapshotTest::SetUp();
    if (IsSkipped()) return;
    snapshot_.upper = Upper::kDiscarded;
    const auto method = std::get<LimitMethod>(GetParam());
    if (const auto can =
            choose_limit_method(limit_abilities(store_.get()), method, Upper::kDiscarded);
        !can)
      GTEST_SKIP() << can.error().message();
    snapshot_.limit = {kLimit, method};
  }
  Result<MountedSnapshot> mounted_as_asked() {
    return mounted(std::get<OverlayMethod>(GetParam()));
  }

  // How many bytes go into one new file, and what stopped it.
  static std::pair<std::uint64_t, int> fill(int directory, std::uint64_t most) {
    const Fd file(::openat(directory, "big", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    const std::string block(64 << 10, 'x');
    std::uint64_t written = 0;
    while (written < most) {
      const ssize_t size = ::write(file.get(), block.data(), block.size());
      if (size < 0) return {written, errno};
      written += static_cast<std::uint64_t>(size);
    }
    // What is only in the page cache may still find no place.
    return {written, ::fsync(file.get()) == 0 ? 0 : errno};
  }
};

TEST_P(LimitedSpaces, EndInENoSpace) {
  const auto mount = mounted_as_asked();
  ASSERT_TRUE(mount) << mount.error().message();
  const auto [written, error] = fill(mount->get(), 2 * kLimit);
  EXPECT_TRUE(error == ENOSPC || error == EDQUOT) << error;
  EXPECT_LE(written, kLimit);
  EXPECT_GE(written, kLimit / 2) << "it is a limit of what can be used, nearly";
  EXPECT_EQ(read_file_at(mount->get(), "etc/hosts"), "high") << "the layers are there";
}

TEST_P(LimitedSpaces, DoNotEndWithoutTheLimit) {
  snapshot_.limit.reset();
  const auto mount = mounted_as_asked();
  ASSERT_TRUE(mount) << mount.error().message();
  EXPECT_EQ(fill(mount->get(), 2 * kLimit), (std::pair<std::uint64_t, int>{2 * kLimit, 0}));
}

TEST_P(LimitedSpaces, LimitNamesToo) {
  const auto mount = mounted_as_asked();
  ASSERT_TRUE(mount) << mount.error().message();
  int error = 0;
  for (int number = 0; number < 20'000 && error == 0; ++number)
    if (::mkdirat(mount->get(), std::to_string(number).c_str(), 0700) != 0) error = errno;
  EXPECT_TRUE(error == ENOSPC || error == EDQUOT) << error;
}

TEST_P(LimitedSpaces, HoldWhiteoutsAndAttributes) {
  const auto mount = mounted_as_asked();
  ASSERT_TRUE(mount) << mount.error().message();
  EXPECT_EQ(::unlinkat(mount->get(), "etc/hosts", 0), 0) << "a whiteout in the upper directory";
  EXPECT_NE(::faccessat(mount->get(), "etc/hosts", F_OK, 0), 0);
  ASSERT_EQ(::mkdirat(mount->get(), "etc/new", 0755), 0);
  ASSERT_EQ(::unlinkat(mount->get(), "etc/new", AT_REMOVEDIR), 0);
  struct stat status{};
  ASSERT_EQ(::fstat(mount->get(), &status), 0);
  EXPECT_EQ(status.st_uid, kFirstId);
}

TEST_P(LimitedSpaces, LeaveNothingBehind) {
  {
    const auto mount = mounted_as_asked();
    ASSERT_TRUE(mount) << mount.error().message();
    const bool in_image = std::get<LimitMethod>(GetParam()) == LimitMethod::kImageFile;
    EXPECT_EQ(loop_devices_of(path_), in_image ? 1 : 0) << "while it is mounted";
  }
  snapshot_.space.reset();
  ASSERT_TRUE(lift_limit(store_.get(), *snapshot_.limit, HostUid(kFirstId)));
  ASSERT_TRUE(remove_container_directory(store_.get(), snapshot_.container));
  for (int tries = 0; loop_devices_of(path_) != 0; ++tries) {
    ASSERT_LT(tries, 2000) << "a loop device stays";
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

INSTANTIATE_TEST_SUITE_P(EachWay, LimitedSpaces,
                         ::testing::Combine(::testing::Values(LimitMethod::kProjectQuota,
                                                              LimitMethod::kImageFile,
                                                              LimitMethod::kTmpfs),
                                            ::testing::Values(OverlayMethod::kAutomatic,
                                                              OverlayMethod::kPrivateNamespace)),
                         [](const auto& way) {
                           return std::string(name_of(std::get<LimitMethod>(way.param))) +
                                  (std::get<OverlayMethod>(way.param) == OverlayMethod::kAutomatic
                                       ? "Automatic"
                                       : "PrivateNamespace");
                         });

}  // namespace
}  // namespace bulkhead::storage
