#include "isolation/masked_paths/masked_paths.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <functional>
#include <set>

#include "isolation/masked_paths/default_paths.h"
#include "isolation/mounts/tree_testing.h"

namespace bulkhead::isolation {
namespace {

using namespace testing;

bool reads_as_nothing(const char* path) {
  const Fd fd(::open(path, O_RDONLY | O_CLOEXEC));
  char byte = 0;
  return fd && ::read(fd.get(), &byte, 1) == 0;
}

bool is_empty_and_read_only(const char* path) {
  struct statvfs status{};
  return ::statvfs(path, &status) == 0 && (status.f_flag & ST_RDONLY) != 0 &&
         !exists(std::string(path) + "/x") &&
         ::mkdir((std::string(path) + "/y").c_str(), 0755) != 0;
}

class MaskedPathsInTree : public ::testing::Test {
 protected:
  void SetUp() override {
    fill_root(root_);
    root_.directory("secret").file("secret/x", "x").file("etc/key", "key").link("alias", "/secret");
    spec_ = spec_of(root_.path());
    spec_.mounts = {proc_mount(), sys_mount()};
    spec_.linux_.masked_paths = {"/proc/fs",       "/proc/cpuinfo",   "/proc/meminfo",
                                 "/sys/kernel",    "/secret",         "/etc/key",
                                 "/proc/nonsense", "/nowhere/at/all", "/etc/key/x"};
    spec_.linux_.readonly_paths = {"/proc/sys", "/tmp", "/proc/nonsense", "/nowhere"};
  }
  bool inside(const std::function<bool(ChildContext&)>& look, std::span<const long> refused = {}) {
    return in_child([&] {
      for (const long call : refused) kernel_refuses(call, ENOSYS);
      TestChild child;
      return answer_of(make_tree(request_of(spec_), host_, child)) &&
             answer_of(make<MaskedPaths>(request_of(spec_), host_, child)) && step_inside(child) &&
             look(child);
    });
  }
  bool masks_hold(ChildContext& child) {
    const Fd sysctl(::open("/proc/sys/kernel/core_pattern", O_WRONLY | O_CLOEXEC));
    const bool sysctl_refused = !sysctl && errno == EROFS;
    return reads_as_nothing("/proc/cpuinfo") && reads_as_nothing("/proc/meminfo") &&
           reads_as_nothing("/etc/key") && is_empty_and_read_only("/proc/fs") &&
           is_empty_and_read_only("/sys/kernel") && is_empty_and_read_only("/secret") &&
           sysctl_refused && ::mkdir("/tmp/x", 0755) != 0 && exists("/proc/self/status") &&
           answer_of(verify_again<MaskedPaths>(request_of(spec_), host_, child));
  }

  TemporaryDirectory root_;
  oci::Spec spec_;
  HostFacts host_ = full_host();
};

TEST_F(MaskedPathsInTree, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(inside([&](ChildContext& child) { return masks_hold(child); }));
}

TEST_F(MaskedPathsInTree, HoldsWithoutTheNewMountApi) {
  SKIP_UNLESS_ROOT();
  const long calls[] = {SYS_open_tree, SYS_open_tree_attr, SYS_fsopen, SYS_mount_setattr,
                        SYS_openat2};
  EXPECT_TRUE(inside([&](ChildContext& child) { return masks_hold(child); }, calls));
}

TEST_F(MaskedPathsInTree, HoldsWhereTheProcfsIsNotOurs) {
  SKIP_UNLESS_ROOT();
  spec_.mounts[0] = bind_mount("/proc", "/proc");
  EXPECT_TRUE(inside([&](ChildContext& child) { return masks_hold(child); }));
}

TEST_F(MaskedPathsInTree, TheOrderOfKindsDoesNotMatter) {
  SKIP_UNLESS_ROOT();
  // A directory whose name looks like a file's comes first, and the other way round.
  spec_.linux_.masked_paths = {"/proc/fs",   "/proc/driver", "/proc/acpi", "/proc/bus",
                               "/proc/keys", "/etc/key",     "/secret"};
  EXPECT_TRUE(inside([](ChildContext&) {
    return is_empty_and_read_only("/proc/fs") && reads_as_nothing("/proc/keys") &&
           reads_as_nothing("/etc/key") && is_empty_and_read_only("/secret");
  }));
}

TEST_F(MaskedPathsInTree, TheHostsNullDeviceCannotBeChangedThroughAMask) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(inside([](ChildContext&) {
    return ::chmod("/proc/cpuinfo", 0600) != 0 && errno == EROFS &&
           ::chmod("/etc/key", 0600) != 0 && errno == EROFS;
  }));
}

TEST_F(MaskedPathsInTree, LinksOfTheImageAreMaskedWhereTheyLead) {
  SKIP_UNLESS_ROOT();
  spec_.linux_.masked_paths = {"/alias"};
  EXPECT_TRUE(inside([](ChildContext&) { return is_empty_and_read_only("/secret"); }));
}

// Behind a link of a process in /proc there is the host's tree.
TEST_F(MaskedPathsInTree, MagicLinksAreNotFollowed) {
  SKIP_UNLESS_ROOT();
  TemporaryDirectory victim;
  victim.file("f", "host");
  spec_.linux_.masked_paths = {"/proc/self/root" + victim.at("f")};
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    if (!make_tree(request_of(spec_), host_, child)) return false;
    const auto masked = make<MaskedPaths>(request_of(spec_), host_, child);
    return !masked && masked.error().error == ELOOP && !reads_as_nothing(victim.at("f").c_str());
  }));
}

// The host's /dev/null replaced by another file: it must not become a window (CVE-2025-31133).
TEST_F(MaskedPathsInTree, AFalseNullDeviceIsRefused) {
  SKIP_UNLESS_ROOT();
  TemporaryDirectory trap;
  trap.file("f", "trap");
  EXPECT_TRUE(in_child([&] {
    enter_private_mount_namespace();
    if (::mount(trap.at("f").c_str(), "/dev/null", nullptr, MS_BIND, nullptr) != 0)
      could_not_prepare("mount");
    TestChild child;
    if (!make_tree(request_of(spec_), host_, child)) return false;
    const auto masked = make<MaskedPaths>(request_of(spec_), host_, child);
    return !masked && masked.error().error == ENXIO;
  }));
}

TEST_F(MaskedPathsInTree, VerifyNoticesThatApplyNeverRan) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return make_tree(request_of(spec_), host_, child) && step_inside(child) &&
           !verify_again<MaskedPaths>(request_of(spec_), host_, child);
  }));
}

TEST_F(MaskedPathsInTree, FailsClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  for (const long call : {SYS_mount, SYS_move_mount})
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      if (!make_tree(request_of(spec_), host_, child)) return false;
      kernel_refuses(call, EPERM);
      return !make<MaskedPaths>(request_of(spec_), host_, child);
    })) << call;
}

TEST_F(MaskedPathsInTree, BadPathsAreRefusedWithTheirPlace) {
  spec_.linux_.masked_paths = {"/ok", "relative"};
  const auto plan = MaskedPaths::describe(request_of(spec_), host_);
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().message().find("/linux/maskedPaths/1"), std::string::npos);
  spec_.linux_.masked_paths = {"/"};
  EXPECT_FALSE(MaskedPaths::describe(request_of(spec_), host_));
}

TEST(DefaultPaths, AreCleanUniqueAndReasoned) {
  std::set<std::string_view> seen;
  const auto check = [&](const DefaultPath& entry) {
    EXPECT_EQ(clean_path(entry.path), entry.path);
    EXPECT_FALSE(entry.reason.empty()) << entry.path;
    EXPECT_TRUE(seen.insert(entry.path).second) << entry.path;
  };
  std::ranges::for_each(kDefaultMaskedPaths, check);
  std::ranges::for_each(kDefaultReadonlyPaths, check);
}

}  // namespace
}  // namespace bulkhead::isolation
