#include "isolation/mounts/mounts.h"

#include <gtest/gtest.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <functional>

#include "isolation/mounts/mount_one.h"
#include "isolation/mounts/tree_testing.h"

namespace bulkhead::isolation {
namespace {

using namespace testing;

unsigned long flags_of(const char* path) {
  struct statvfs status{};
  return ::statvfs(path, &status) == 0 ? status.f_flag : ~0UL;
}

class MountsInTree : public ::testing::Test {
 protected:
  void SetUp() override {
    SKIP_UNLESS_ROOT();
    fill_root(root_);
    spec_ = spec_of(root_.path());
  }
  // Builds the tree in a child, steps inside and asks `look` there.
  bool inside(const std::function<bool()>& look) {
    return in_child([&]() -> bool {
      TestChild child;
      return answer_of(make_tree(request_of(spec_), host_, child)) && step_inside(child) && look();
    });
  }
  // Whether the tree is refused with this error.
  bool refused(int error) {
    return in_child([&] {
      TestChild child;
      const auto made = make_tree(request_of(spec_), host_, child);
      if (!made && made.error().error != error) (void)answer_of(made);
      return !made && made.error().error == error;
    });
  }

  TemporaryDirectory root_;
  TemporaryDirectory host_directory_;
  oci::Spec spec_;
  HostFacts host_ = full_host();
};

TEST_F(MountsInTree, MissingDestinationsAreMadeAsTheSourceIs) {
  host_directory_.directory("d").file("f", "file");
  spec_.mounts = {bind_mount(host_directory_.at("d"), "/new/deep/d"),
                  bind_mount(host_directory_.at("f"), "/new/deep/f")};
  EXPECT_TRUE(inside([] {
    struct stat status{};
    return ::stat("/new/deep/d", &status) == 0 && S_ISDIR(status.st_mode) &&
           ::stat("/new/deep/f", &status) == 0 && status.st_size == 4;
  }));
  EXPECT_TRUE(exists(root_.at("new/deep/f")));
}

TEST_F(MountsInTree, OptionsAreInForce) {
  host_directory_.directory("d");
  spec_.mounts = {bind_mount(host_directory_.at("d"), "/mnt",
                             {"rbind", "ro", "nosuid", "nodev", "noexec", "noatime"}),
                  {"/tmp", "tmpfs", "tmpfs", {"nosuid", "noexec", "size=1m", "mode=700"}, {}, {}}};
  EXPECT_TRUE(inside([] {
    constexpr unsigned long kAll = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME;
    struct stat status{};
    struct statfs system{};
    return (flags_of("/mnt") & kAll) == kAll &&
           (flags_of("/tmp") & kAll) == (ST_NOSUID | ST_NOEXEC) && ::stat("/tmp", &status) == 0 &&
           (status.st_mode & 0777) == 0700 && ::statfs("/tmp", &system) == 0 &&
           system.f_blocks * static_cast<unsigned long>(system.f_bsize) == 1U << 20U;
  }));
}

TEST_F(MountsInTree, ReadOnlyReachesSubmountsOnlyWhenItIsRecursive) {
  host_directory_.directory("d").directory("d/sub");
  const auto read_only = [&](const char* option, const char* path) {
    spec_.mounts = {bind_mount(host_directory_.at("d"), "/mnt", {"rbind", option})};
    return in_child([&] {
      enter_private_mount_namespace();
      if (::mount("tmpfs", host_directory_.at("d/sub").c_str(), "tmpfs", 0, nullptr) != 0)
        return false;
      return inside([&] { return (flags_of(path) & ST_RDONLY) != 0; });
    });
  };
  EXPECT_TRUE(read_only("ro", "/mnt"));
  EXPECT_FALSE(read_only("ro", "/mnt/sub"));
  EXPECT_TRUE(read_only("rro", "/mnt"));
  EXPECT_TRUE(read_only("rro", "/mnt/sub"));
}

TEST_F(MountsInTree, ARemountChangesWhatIsThere) {
  spec_.mounts = {{"/tmp", "tmpfs", "tmpfs", {}, {}, {}},
                  {"/tmp", "", "", {"remount", "bind", "ro", "nosuid"}, {}, {}}};
  EXPECT_TRUE(inside(
      [] { return (flags_of("/tmp") & (ST_RDONLY | ST_NOSUID)) == (ST_RDONLY | ST_NOSUID); }));
}

TEST_F(MountsInTree, ADestinationBehindALinkStaysInside) {
  host_directory_.directory("d").directory("victim");
  root_.link("away", (host_directory_.path() + "/victim").c_str());
  root_.link("up", "../../../../../../tmp");
  spec_.mounts = {bind_mount(host_directory_.at("d"), "/up/made")};
  EXPECT_TRUE(inside([] { return exists("/tmp/made"); }));
  EXPECT_FALSE(exists("/tmp/made"));
  // What a dangling link leads to is made inside.
  spec_.mounts = {bind_mount(host_directory_.at("d"), "/away/made")};
  EXPECT_TRUE(inside([&] { return exists(host_directory_.at("victim/made")); }));
  EXPECT_FALSE(exists(host_directory_.at("victim/made")));
}

TEST_F(MountsInTree, AnImageWhoseDevLeadsAwayMakesNothingOutside) {
  host_directory_.directory("victim");
  ::rmdir(root_.at("dev").c_str());
  root_.link("dev", host_directory_.at("victim").c_str());
  spec_.mounts = {dev_mount(), devpts_mount()};
  EXPECT_TRUE(inside([] { return exists("/dev/pts/ptmx"); }));
  EXPECT_FALSE(exists(host_directory_.at("victim/pts")));
}

TEST_F(MountsInTree, ProcAndSysMustNotBeLinks) {
  for (const char* name : {"proc", "sys"}) {
    ::rmdir(root_.at(name).c_str());
    root_.link(name, "/tmp");
    spec_.mounts = {std::string(name) == "proc" ? proc_mount() : sys_mount()};
    EXPECT_TRUE(refused(ELOOP)) << name;
    ::unlink(root_.at(name).c_str());
    root_.directory(name);
  }
}

TEST_F(MountsInTree, NoLinkLeadsIntoProcfs) {
  host_directory_.file("f");
  root_.link("p", "/proc").link("q", "/proc/self/root/etc");
  spec_.mounts = {proc_mount(), bind_mount(host_directory_.at("f"), "/p/sys/kernel/core_pattern")};
  EXPECT_TRUE(refused(EPERM));
  spec_.mounts = {proc_mount(), bind_mount(host_directory_.at("f"), "/q/hosts")};
  EXPECT_TRUE(refused(ELOOP));
}

TEST_F(MountsInTree, OnlyAProcfsCanBeBoundOnProc) {
  host_directory_.directory("fake");
  spec_.mounts = {bind_mount(host_directory_.at("fake"), "/proc")};
  EXPECT_TRUE(refused(EPERM));
  spec_.mounts = {bind_mount("/proc", "/proc")};
  EXPECT_TRUE(inside([] { return exists("/proc/self/status"); }));
}

TEST_F(MountsInTree, AMissingSourceIsAnError) {
  spec_.mounts = {bind_mount(host_directory_.at("missing"), "/mnt")};
  EXPECT_TRUE(refused(ENOENT));
}

TEST_F(MountsInTree, ABadOptionOfAFileSystemIsNamed) {
  spec_.mounts = {{"/tmp", "tmpfs", "tmpfs", {"mode=755", "size=frog"}, {}, {}}};
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const auto made = make_tree(request_of(spec_), host_, child);
    return !made && made.error().error == EINVAL &&
           std::string_view(made.error().subject) == "size";
  }));
}

TEST_F(MountsInTree, AFileIsNotMountedOnADirectory) {
  host_directory_.file("f");
  spec_.mounts = {bind_mount(host_directory_.at("f"), "/mnt")};
  EXPECT_TRUE(refused(ENOTDIR));
}

TEST_F(MountsInTree, TmpcopyupBringsTheImagesFiles) {
  root_.directory("etc/d", 0711)
      .file("etc/f", "text", 0640)
      .link("etc/l", "f")
      .file("etc/s", "x", 04755);
  ::lchown(root_.at("etc/f").c_str(), 12, 34);
  ::mknod(root_.at("etc/fifo").c_str(), S_IFIFO | 0600, 0);
  root_.file("etc/d/inner", std::string(100000, 'y'));
  spec_.mounts = {{"/etc", "tmpfs", "tmpfs", {"tmpcopyup", "ro", "nodev"}, {}, {}}};
  EXPECT_TRUE(inside([] {
    struct stat f{};
    struct stat d{};
    struct stat s{};
    struct stat inner{};
    struct stat fifo{};
    struct statfs system{};
    char target[8] = {};
    return ::stat("/etc/f", &f) == 0 && f.st_uid == 12 && f.st_gid == 34 &&
           (f.st_mode & 07777) == 0640 && f.st_size == 4 && ::stat("/etc/d", &d) == 0 &&
           (d.st_mode & 07777) == 0711 && ::stat("/etc/s", &s) == 0 &&
           (s.st_mode & 07777) == 04755 && ::stat("/etc/d/inner", &inner) == 0 &&
           inner.st_size == 100000 && ::stat("/etc/fifo", &fifo) == 0 && S_ISFIFO(fifo.st_mode) &&
           ::readlink("/etc/l", target, sizeof target) == 1 && ::statfs("/etc", &system) == 0 &&
           system.f_type == TMPFS_MAGIC && (system.f_flags & ST_RDONLY) != 0;
  }));
}

TEST_F(MountsInTree, TmpcopyupFollowsNoLinkOut) {
  host_directory_.file("secret", "host");
  ::rmdir(root_.at("etc").c_str());
  root_.directory("etc").link("etc/l", host_directory_.at("secret").c_str());
  spec_.mounts = {{"/etc", "tmpfs", "tmpfs", {"tmpcopyup"}, {}, {}}};
  EXPECT_TRUE(inside([] {
    struct stat status{};
    return ::lstat("/etc/l", &status) == 0 && S_ISLNK(status.st_mode);
  }));
}

TEST_F(MountsInTree, OwnCgroupsAreShownAndNoOthers) {
  TemporaryDirectory hierarchy;
  spec_.mounts = {sys_mount(), {"/sys/fs/cgroup", "cgroup", "cgroup", {"ro", "nosuid"}, {}, {}}};
  // A stand-in for a hierarchy: what counts is that the own group's directory is bound.
  host_.cgroups = {{{"pids"}, hierarchy.path(), "/", "/", false}};
  const auto text = read_file_at(AT_FDCWD, "/proc/self/cgroup");
  ASSERT_TRUE(text);
  if (text->find(":pids:/\n") == std::string::npos)
    GTEST_SKIP() << "needs a v1 pids hierarchy, at its root";
  hierarchy.file("tasks");
  EXPECT_TRUE(inside([] {
    const std::string name = "/sys/fs/cgroup";
    return ::mkdir((name + "/x").c_str(), 0755) != 0 && errno == EROFS &&
           (flags_of(name.c_str()) & ST_NOSUID) != 0;
  }));
}

TEST_F(MountsInTree, VerifyNoticesAMountThatLostItsFlags) {
  host_directory_.directory("d");
  spec_.mounts = {bind_mount(host_directory_.at("d"), "/mnt", {"rbind", "ro"})};
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const Request request = request_of(spec_);
    if (!make_tree(request, host_, child) || !step_inside(child)) return false;
    if (!verify_again<EarlyMounts>(request, host_, child)) return false;
    if (::mount(nullptr, "/mnt", nullptr, MS_REMOUNT | MS_BIND, nullptr) != 0) return false;
    return !verify_again<EarlyMounts>(request, host_, child);
  }));
}

TEST_F(MountsInTree, SysIsBoundReadOnlyWhereTheNetworkIsNotOwned) {
  spec_.mounts = {sys_mount()};
  spec_.linux_.namespaces = {{oci::NamespaceType::kMount, ""}, {oci::NamespaceType::kUser, ""}};
  host_.effective_capabilities = 0;
  ::lchown(root_.path().c_str(), kTestHostIdBase, kTestHostIdBase);
  EXPECT_TRUE(in_child_as_root_of_user_namespace(
      [&] {
        TestChild child;
        return answer_of(make_tree(request_of(spec_), host_, child)) && step_inside(child) &&
               exists("/sys/kernel") && (flags_of("/sys") & ST_RDONLY) != 0 &&
               (!exists("/sys/fs/cgroup") || (flags_of("/sys/fs/cgroup") & ST_RDONLY) != 0);
      },
      CLONE_NEWNS));
}

}  // namespace
}  // namespace bulkhead::isolation
