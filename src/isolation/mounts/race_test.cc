// Rivals who swap names in the image while it is mounted: another container that shares the root
// file system or a volume (CVE-2021-30465, CVE-2024-45310, CVE-2025-31133). Each has a control: the
// same mount made by path, as a naive engine would, must be seen to go astray.
#include <gtest/gtest.h>
#include <sys/statfs.h>
#include <sys/wait.h>

#include <csignal>
#include <ctime>
#include <functional>

#include "isolation/mounts/tree_testing.h"

namespace bulkhead::isolation {
namespace {

using namespace testing;

constexpr unsigned kExchange = 2;  // RENAME_EXCHANGE

// Swaps two names until it goes away.
class Rival {
 public:
  Rival(const std::string& one, const std::string& other) {
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ == 0)
      for (;;) ::syscall(SYS_renameat2, AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), kExchange);
  }
  ~Rival() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Rival(const Rival&) = delete;
  Rival& operator=(const Rival&) = delete;

 private:
  pid_t pid_ = -1;
};

bool is_mount_point(const std::string& path) {
  struct statx status{};
  return ::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status) == 0 &&
         (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

class Race : public ::testing::Test {
 protected:
  static constexpr int kRuns = 200;

  void SetUp() override {
    SKIP_UNLESS_ROOT();
    fill_root(root_);
    outside_.directory("victim").directory("source");
    root_.directory("mnt/a").directory("mnt/a/b");
    // Absolute, as seen from the host: whoever resolves it there is out.
    root_.link("mnt/evil", outside_.path().c_str());
    outside_.directory("b");
    spec_ = spec_of(root_.path());
    spec_.mounts = {bind_mount(outside_.at("source"), "/mnt/a/b", {"rbind", "ro"})};
  }

  TemporaryDirectory root_;
  TemporaryDirectory outside_;
  oci::Spec spec_;
};

TEST_F(Race, ANaiveMountByPathGoesAstray) {
  EXPECT_TRUE(in_child([&] {
    enter_private_mount_namespace();
    const Rival rival(root_.at("mnt/a"), root_.at("mnt/evil"));
    // A busy machine may give the rival few turns: until it has happened, within reason.
    const time_t deadline = ::time(nullptr) + 20;
    while (::time(nullptr) < deadline) {
      const std::string target = root_.at("mnt/a/b");
      struct stat status{};
      // What a careful engine does by path: look, then mount.
      if (::lstat(root_.at("mnt/a").c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) continue;
      ::sched_yield();  // an engine does other things in between
      if (::mount(outside_.at("source").c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0)
        continue;
      if (is_mount_point(outside_.at("b"))) return true;
      ::umount2(target.c_str(), MNT_DETACH);
    }
    return false;
  }));
}

TEST_F(Race, AMountByDescriptorStaysInside) {
  const HostFacts host = full_host();
  const Rival rival(root_.at("mnt/a"), root_.at("mnt/evil"));
  int astray = 0;
  int done = 0;
  for (int i = 0; i < kRuns; ++i) {
    // Either it is mounted inside, or the start is refused; nothing lands outside.
    const bool inside_only = in_child([&] {
      TestChild child;
      const auto made = make_tree(request_of(spec_), host, child);
      if (is_mount_point(outside_.at("b"))) return false;
      return made.has_value() || made.error().error == ELOOP || made.error().error == ENOENT ||
             made.error().error == ENOTDIR || made.error().error == EEXIST;
    });
    astray += inside_only ? 0 : 1;
    ++done;
  }
  EXPECT_EQ(astray, 0) << "of " << done;
}

TEST_F(Race, TheSameWithoutOpenat2) {
  const HostFacts host = full_host();
  const Rival rival(root_.at("mnt/a"), root_.at("mnt/evil"));
  for (int i = 0; i < kRuns / 4; ++i)
    ASSERT_TRUE(in_child([&] {
      kernel_refuses(SYS_openat2, ENOSYS);
      TestChild child;
      (void)make_tree(request_of(spec_), host, child);
      return !is_mount_point(outside_.at("b"));
    }));
}

// /proc itself is swapped with a directory of the rival's while the container is made.
TEST_F(Race, ASwappedProcIsNeverMistakenForTheRealOne) {
  root_.directory("fake").directory("fake/self");
  spec_.mounts = {proc_mount()};
  const HostFacts host = full_host();
  const Rival rival(root_.at("proc"), root_.at("fake"));
  for (int i = 0; i < kRuns / 2; ++i)
    ASSERT_TRUE(in_child([&] {
      TestChild child;
      if (!make_tree(request_of(spec_), host, child)) return true;
      struct statfs status{};
      // Wherever the name has gone, the descriptor on which masks will be put is the procfs.
      return ::fstatfs(child.context.fresh_proc, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
    }));
}

}  // namespace
}  // namespace bulkhead::isolation
