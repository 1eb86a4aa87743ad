#include "runtime/restored_flags.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "runtime/restored_check.h"
#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

// Set in another process's mount namespace, and there alone.
TEST(RestoredFlags, AreThoseOfTheConfiguration) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to mount";
  const testing::TemporaryDirectory directory;
  const std::string place = directory / "place";
  const std::string plain = directory / "plain";
  ASSERT_EQ(::mkdir(place.c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(plain.c_str(), 0755), 0);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool ready = ::unshare(CLONE_NEWNS) == 0 &&
                       ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) == 0 &&
                       ::mount("tmpfs", place.c_str(), "tmpfs", 0, nullptr) == 0;
    (void)!::write(ends[1], ready ? "y" : "n", 1);
    for (;;) ::pause();
  }
  char ready = 'n';
  ASSERT_EQ(::read(ends[0], &ready, 1), 1);
  ASSERT_EQ(ready, 'y');
  oci::Spec spec;
  // What is no mount, or not there, is left to the check.
  spec.mounts = {{.destination = place, .type = "tmpfs", .options = {"ro", "nosuid", "noexec"}}};
  spec.linux_.readonly_paths = {plain, "/absent"};
  const auto process = PidFd::open(HostPid(child));
  ASSERT_TRUE(process);
  const auto check = [&](const oci::Spec& wanted) {
    const std::string path = "/proc/" + std::to_string(child) + "/root";
    const auto root = open_at(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY);
    return check_restored_mounts(wanted, root->get()).has_value();
  };
  oci::Spec mounts_alone = spec;
  mounts_alone.linux_.readonly_paths.clear();
  EXPECT_FALSE(check(mounts_alone)) << "before";
  EXPECT_TRUE(set_mount_flags_again(*process, spec));
  EXPECT_TRUE(check(mounts_alone));
  EXPECT_FALSE(check(spec)) << "a path that is no mount cannot be closed";
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(set_mount_flags_again(*process, spec));
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace bulkhead::runtime
