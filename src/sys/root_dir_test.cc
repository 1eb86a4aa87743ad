#include "sys/root_dir.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "sys/file.h"
#include "sys/uapi.h"

namespace bulkhead {
namespace {

enum class Kernel { kWithOpenat2, kWithoutOpenat2 };

// From now on this process has no openat2, as in a sandbox or on Linux 5.5.
void refuse_openat2() {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {4, program};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &filter) != 0)
    ::_exit(3);
}

class HostileTree : public ::testing::TestWithParam<Kernel> {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bulkhead-root-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    top_ = name;
    for (const char* directory : {"root", "root/a", "root/a/b", "outside", "root/etc"})
      ::mkdir((top_ + "/" + directory).c_str(), 0755);
    put("outside/secret", "host");
    put("root/etc/passwd", "container");
    put("root/a/file", "file");
    link("../outside", "root/up");
    link("../../../../../../../../../../etc", "root/far");
    link("/etc", "root/absolute");
    link("/etc/passwd", "root/a/passwd");
    link("a", "root/inside");
    link("loop", "root/loop");
    link("/nowhere/at/all", "root/dangling");
    link("../../outside/new", "root/a/dangling");
  }
  void TearDown() override { ASSERT_EQ(std::system(("rm -rf " + top_).c_str()), 0); }

  void put(const std::string& path, const char* text) {
    const Fd file(::open((top_ + "/" + path).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    ASSERT_GT(::write(file.get(), text, std::strlen(text)), 0);
  }
  void link(const char* target, const std::string& path) {
    ASSERT_EQ(::symlink(target, (top_ + "/" + path).c_str()), 0);
  }

  // `body` in a process of its own, with the kernel of this run.
  bool holds(const std::function<bool(const RootDir&)>& body) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      if (GetParam() == Kernel::kWithoutOpenat2) refuse_openat2();
      const Fd root(::open((top_ + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      ::_exit(root && body(RootDir(root.get())) ? 0 : 1);
    }
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  static std::string read(const RootDir& root, const char* path) {
    const auto file = root.open(path, O_RDONLY);
    if (!file) return "error " + std::to_string(file.error().error);
    auto text = read_fd(file->get());
    return text ? *text : "unreadable";
  }
  static std::string error(int number) { return "error " + std::to_string(number); }
  bool outside_is_untouched() const {
    struct stat status{};
    return ::lstat((top_ + "/outside/new").c_str(), &status) != 0 &&
           ::lstat("/nowhere", &status) != 0;
  }

  std::string top_;
};

TEST_P(HostileTree, PathsAreThoseOfTheTree) {
  EXPECT_TRUE(holds([](const RootDir& root) {
    return read(root, "/etc/passwd") == "container" && read(root, "a//./b/../file") == "file" &&
           read(root, "inside/file") == "file" && read(root, "a/file/") == error(ENOTDIR) &&
           read(root, "a/file/x") == error(ENOTDIR) && read(root, "missing") == error(ENOENT);
  }));
}

TEST_P(HostileTree, NoLinkLeadsOut) {
  EXPECT_TRUE(holds([](const RootDir& root) {
    return read(root, "absolute/passwd") == "container" &&
           read(root, "far/passwd") == "container" && read(root, "a/passwd") == "container" &&
           read(root, "up/secret") == error(ENOENT) &&
           read(root, "../outside/secret") == error(ENOENT) &&
           read(root, "a/../../../outside/secret") == error(ENOENT) &&
           read(root, "loop") == error(ELOOP);
  }));
}

TEST_P(HostileTree, LinksCanBeRefusedAltogether) {
  EXPECT_TRUE(holds([](const RootDir& root) {
    const auto refused = [&](const char* path) {
      const auto file = root.open(path, O_PATH, Symlinks::kRefuse);
      return !file && file.error().error == ELOOP;
    };
    return refused("inside/file") && refused("absolute") &&
           root.open("a/file", O_PATH, Symlinks::kRefuse);
  }));
}

TEST_P(HostileTree, MagicLinksAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount a procfs in the tree";
  EXPECT_TRUE(holds([this](const RootDir&) {
    // The whole machine as the "tree": its /proc has links out of everything.
    const Fd everything(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    const Fd secret(::open((top_ + "/outside").c_str(), O_PATH | O_CLOEXEC));
    const RootDir root(everything.get());
    const std::string by_descriptor = "/proc/self/fd/" + std::to_string(secret.get()) + "/secret";
    return read(root, by_descriptor.c_str()) == error(ELOOP) &&
           read(root, "/proc/self/root/etc/passwd") == error(ELOOP) &&
           read(root, "/proc/self/cwd") == error(ELOOP);
  }));
}

TEST_P(HostileTree, DirectoriesAreMadeInside) {
  EXPECT_TRUE(holds([](const RootDir& root) {
    const auto made = root.make_directories("/x/y/./z", 0750);
    struct stat status{};
    return made && ::fstat(made->get(), &status) == 0 && S_ISDIR(status.st_mode) &&
           (status.st_mode & 0777) == 0750 && root.make_directories("absolute/new/deep", 0755) &&
           root.open("etc/new/deep", O_PATH) && root.make_directories("a/b", 0755);
  }));
  EXPECT_TRUE(outside_is_untouched());
}

// As in images whose /etc/resolv.conf leads to what only a booted system has.
TEST_P(HostileTree, WhatADanglingLinkLeadsToIsMadeInside) {
  EXPECT_TRUE(holds([](const RootDir& root) {
    return root.make_directories("dangling/x", 0755) && root.open("nowhere/at/all/x", O_PATH) &&
           root.make_file("a/dangling", 0644) && root.open("outside/new", O_PATH) &&
           !root.make_directories("a/file/x", 0755) && !root.make_file("loop/x", 0644) &&
           !root.make_file("loop", 0644);
  }));
  EXPECT_TRUE(outside_is_untouched());
}

TEST_P(HostileTree, FilesAreMadeWithTheirParents) {
  EXPECT_TRUE(holds([](const RootDir& root) {
    const auto made = root.make_file("run/lock/x", 0640);
    struct stat status{};
    if (!made || ::fstat(made->get(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
    const auto again = root.make_file("run/lock/x", 0640);
    const auto existing = root.make_file("a/passwd", 0640);
    return again && existing && read(root, "etc/passwd") == "container" &&
           !root.make_file("x/..", 0640);
  }));
}

TEST_P(HostileTree, ParentsAreGivenWithTheLastName) {
  EXPECT_TRUE(holds([](const RootDir& root) {
    const auto parent = root.make_parent("/new/dev/null");
    return parent && std::string_view(parent->name) == "null" && root.open("new/dev", O_PATH) &&
           !root.make_parent("new/..") && !root.make_parent("/");
  }));
}

TEST_P(HostileTree, LongPathsAreErrors) {
  EXPECT_TRUE(holds([](const RootDir& root) {
    const std::string long_name(300, 'x');
    std::string long_path;
    while (long_path.size() < PATH_MAX) long_path += "a/../";
    const auto by_name = root.make_directories(long_name.c_str(), 0755);
    const auto by_path = root.make_directories(long_path.c_str(), 0755);
    return !by_name && by_name.error().error == ENAMETOOLONG && !by_path &&
           by_path.error().error == ENAMETOOLONG;
  }));
}

// A rival swaps a directory with a link to the outside, as fast as he can, while a file beneath it
// is made and opened. With openat(2) on the joined path, the positive control, he gets what he
// wants.
TEST_P(HostileTree, ARivalWhoSwapsDirectoriesGetsNothing) {
  ASSERT_EQ(::mkdir((top_ + "/root/swap").c_str(), 0755), 0);
  link("../outside", "root/swap.link");
  const pid_t rival = ::fork();
  if (rival == 0) {
    const std::string one = top_ + "/root/swap";
    const std::string other = top_ + "/root/swap.link";
    for (;;)
      ::syscall(SYS_renameat2, AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(),
                2 /* RENAME_EXCHANGE */);
  }
  bool naive_escaped = false;
  for (int i = 0; i < 20000 && !naive_escaped; ++i) {
    const Fd file(
        ::open((top_ + "/root/swap/naive").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    struct stat status{};
    naive_escaped = ::lstat((top_ + "/outside/naive").c_str(), &status) == 0;
  }
  EXPECT_TRUE(holds([](const RootDir& root) {
    for (int i = 0; i < 3000; ++i) {
      (void)root.make_file("swap/x", 0644);
      (void)root.make_directories("swap/deep/x", 0755);
    }
    return true;
  }));
  ::kill(rival, SIGKILL);
  ::waitpid(rival, nullptr, 0);
  struct stat status{};
  EXPECT_TRUE(naive_escaped) << "the control: without RootDir the rival should have succeeded";
  EXPECT_NE(::lstat((top_ + "/outside/x").c_str(), &status), 0);
  EXPECT_NE(::lstat((top_ + "/outside/deep").c_str(), &status), 0);
}

INSTANTIATE_TEST_SUITE_P(Kernels, HostileTree,
                         ::testing::Values(Kernel::kWithOpenat2, Kernel::kWithoutOpenat2),
                         [](const auto& run) {
                           return run.param == Kernel::kWithOpenat2 ? "WithOpenat2"
                                                                    : "WithoutOpenat2";
                         });

}  // namespace
}  // namespace bulkhead
