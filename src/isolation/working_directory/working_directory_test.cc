#include "isolation/working_directory/working_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

Result<WorkingDirectory::Plan> describe(std::string path) {
  oci::Spec spec;
  spec.process.emplace().cwd = std::move(path);
  return WorkingDirectory::describe({.spec = spec}, {});
}

// In a test child: a root of its own (a tmpfs) with a few directories, procfs among them.
void enter_small_root() {
  testing::enter_private_mount_namespace();
  if (::mount("tmpfs", "/mnt", "tmpfs", 0, "mode=755") != 0) testing::could_not_prepare("tmpfs");
  if (::mkdir("/mnt/proc", 0755) != 0 || ::mkdir("/mnt/app", 0755) != 0 ||
      ::symlink("/app", "/mnt/link") != 0 || ::symlink("/nowhere", "/mnt/dangling") != 0 ||
      ::symlink("/proc/self/fd/100", "/mnt/trap") != 0 || ::mknod("/mnt/file", S_IFREG, 0) != 0 ||
      ::mount("/proc", "/mnt/proc", nullptr, MS_BIND, nullptr) != 0 || ::chroot("/mnt") != 0 ||
      ::chdir("/") != 0)
    testing::could_not_prepare("the root");
}

bool holds(const WorkingDirectory::Plan& plan) {
  TestChild child;
  const auto applied = WorkingDirectory::apply(plan, child);
  if (!applied) return testing::answer_of(applied);
  return testing::answer_of(WorkingDirectory::verify(plan, child));
}

std::string current() {
  char path[4096];
  return ::getcwd(path, sizeof path) != nullptr ? path : "";
}

TEST(WorkingDirectory, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  for (const auto& [path, where] : {std::pair{"/app", "/app"},
                                    {"/", "/"},
                                    {"/app/", "/app"},
                                    {"/link", "/app"},
                                    {"/app/../../../app", "/app"},
                                    {"/proc/self/", nullptr}})
    EXPECT_TRUE(in_child([&] {
      enter_small_root();
      return holds(*describe(path)) && (where == nullptr || current() == where);
    })) << path;
}

TEST(WorkingDirectory, IsNotMadeForAProcessThatEnters) {
  SKIP_UNLESS_ROOT();
  oci::Spec spec;
  spec.process.emplace().cwd = "/typo";
  const auto plan = WorkingDirectory::describe({.spec = spec, .joining = true}, {});
  EXPECT_TRUE(in_child([&] {
    enter_small_root();
    TestChild child;
    const auto applied = WorkingDirectory::apply(*plan, child);
    return !applied && applied.error().error == ENOENT && ::access("/typo", F_OK) != 0;
  }));
}

TEST(WorkingDirectory, IsMadeWhenMissing) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([] {
    enter_small_root();
    ::umask(0);
    struct stat status{};
    return holds(*describe("/app/new/deep")) && current() == "/app/new/deep" &&
           ::stat("/app/new", &status) == 0 && (status.st_mode & 07777) == 0755 &&
           status.st_uid == 0;
  }));
}

TEST(WorkingDirectory, IsNotMadeByAnExec) {
  SKIP_UNLESS_ROOT();
  oci::Spec spec;
  spec.process.emplace().cwd = "/app/new";
  Request request{.spec = spec};
  request.joining = true;
  const auto plan = *WorkingDirectory::describe(request, {});
  EXPECT_TRUE(in_child([&] {
    enter_small_root();
    TestChild child;
    const auto applied = WorkingDirectory::apply(plan, child);
    return !applied && applied.error().error == ENOENT && ::access("/app/new", F_OK) != 0;
  }));
}

TEST(WorkingDirectory, IsNeverReachedThroughALeakedDescriptor) {
  SKIP_UNLESS_ROOT();
  const std::string other = "/proc/" + std::to_string(::getpid());
  for (const std::string& path :
       {std::string("/proc/self/fd/100"), std::string("/proc/self/fd/100/"),
        std::string("/proc/self/fd/100/../.."), std::string("/proc/thread-self/fd/100"),
        std::string("/trap"), std::string("/trap/etc"), std::string("/proc/self/cwd"),
        std::string("/proc/self/root"), other + "/root", other + "/cwd", other + "/root/etc"}) {
    EXPECT_TRUE(in_child([&] {
      // What the runtime would have leaked: the host's root.
      ::dup2(::open("/", O_PATH | O_DIRECTORY), 100);
      enter_small_root();
      TestChild child;
      const auto applied = WorkingDirectory::apply(*describe(path), child);
      return !applied && applied.error().error == ELOOP && current() == "/";
    })) << path;
  }
}

TEST(WorkingDirectory, VerifyNoticesADirectoryOutsideOfTheRoot) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([] {
    const int outside = ::open("/", O_PATH | O_DIRECTORY);
    enter_small_root();
    if (::fchdir(outside) != 0) return false;
    TestChild child;
    const auto verified = WorkingDirectory::verify(*describe("/app"), child);
    return !verified && verified.error().error == EBADE;
  }));
}

TEST(WorkingDirectory, VerifyNoticesThatApplyNeverRan) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([] {
    enter_small_root();
    TestChild child;
    return !WorkingDirectory::verify(*describe("/app"), child);
  }));
}

TEST(WorkingDirectory, FailsClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  for (const long call : {SYS_openat2, SYS_fchdir})
    EXPECT_TRUE(in_child([&] {
      enter_small_root();
      TestChild child;
      testing::kernel_refuses(call, EPERM);
      return !WorkingDirectory::apply(*describe("/app"), child);
    })) << call;
}

TEST(WorkingDirectory, MustBeADirectory) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([] {
    enter_small_root();
    TestChild child;
    return !WorkingDirectory::apply(*describe("/file"), child) &&
           !WorkingDirectory::apply(*describe("/file/below"), child);
  }));
}

TEST(WorkingDirectory, IsMadeInsideTheRootBehindADanglingLink) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([] {
    enter_small_root();
    return holds(*describe("/dangling/below")) && current() == "/nowhere/below";
  }));
  EXPECT_NE(::access("/nowhere", F_OK), 0);
}

TEST(WorkingDirectory, MustBeAnAbsolutePath) {
  EXPECT_FALSE(describe(""));
  EXPECT_FALSE(describe("work"));
  EXPECT_FALSE(describe(std::string("/a\0b", 4)));
  EXPECT_FALSE(describe("/" + std::string(5000, 'a')));
}

}  // namespace
}  // namespace bulkhead::isolation
