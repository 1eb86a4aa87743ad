#include "isolation/root_switch/root_switch.h"

#include <gtest/gtest.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "isolation/cgroup/discover.h"
#include "isolation/console/console.h"
#include "isolation/devices/devices.h"
#include "isolation/masked_paths/masked_paths.h"
#include "isolation/mounts/tree_testing.h"
#include "isolation/root_switch/old_mounts.h"

namespace bulkhead::isolation {
namespace {

using namespace testing;

// As podman writes it, with cgroups, volumes, masks and devices.
oci::Spec engine_spec(const TemporaryDirectory& root, const TemporaryDirectory& bundle) {
  oci::Spec spec = spec_of(root.path());
  spec.mounts = {
      proc_mount(),
      dev_mount(),
      sys_mount(),
      devpts_mount(),
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}},
      bind_mount(bundle.at("shm"), "/dev/shm", {"bind", "rprivate", "nosuid", "noexec", "nodev"}),
      {"/sys/fs/cgroup",
       "cgroup",
       "cgroup",
       {"rprivate", "nosuid", "noexec", "nodev", "relatime", "ro"},
       {},
       {}}};
  for (const char* name : {"resolv.conf", "hosts", "hostname"})
    spec.mounts.push_back(
        bind_mount(bundle.at(name), std::string("/etc/") + name, {"bind", "rprivate"}));
  spec.mounts.push_back(
      bind_mount(bundle.at(".containerenv"), "/run/.containerenv", {"bind", "rprivate"}));
  spec.linux_.masked_paths = {"/proc/acpi",          "/proc/kcore",      "/proc/keys",
                              "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                              "/proc/sched_debug",   "/proc/scsi",       "/sys/firmware",
                              "/sys/fs/selinux",     "/sys/dev/block"};
  spec.linux_.readonly_paths = {"/proc/asound", "/proc/bus", "/proc/fs",
                                "/proc/irq",    "/proc/sys", "/proc/sysrq-trigger"};
  spec.linux_.rootfs_propagation = "rslave";
  return spec;
}

void fill_bundle(const TemporaryDirectory& bundle) {
  bundle.directory("shm", 01777);
  for (const char* name : {"resolv.conf", "hosts", "hostname", ".containerenv"})
    bundle.file(name, name);
}

SysResult<void> make_all(const Request& request, const HostFacts& host, ChildContext& child) {
  TRY(make_tree(request, host, child));
  TRY(make<Devices>(request, host, child));
  TRY(make<Console>(request, host, child));
  TRY(make<MaskedPaths>(request, host, child));
  return make<RootSwitch>(request, host, child);
}

SysResult<void> verify_all(const Request& request, const HostFacts& host, ChildContext& child) {
  TRY(verify_again<MountNamespace>(request, host, child));
  TRY(verify_again<Rootfs>(request, host, child));
  TRY(verify_again<EarlyMounts>(request, host, child));
  TRY(verify_again<LateMounts>(request, host, child));
  TRY(verify_again<Devices>(request, host, child));
  TRY(verify_again<Console>(request, host, child));
  TRY(verify_again<MaskedPaths>(request, host, child));
  return verify_again<RootSwitch>(request, host, child);
}

bool is_empty_file(const char* path) {
  const Fd fd(::open(path, O_RDONLY | O_CLOEXEC));
  char byte = 0;
  return fd && ::read(fd.get(), &byte, 1) == 0;
}

class FileTree : public ::testing::Test {
 protected:
  void SetUp() override {
    SKIP_UNLESS_ROOT();
    fill_root(root_);
    fill_bundle(bundle_);
    spec_ = engine_spec(root_, bundle_);
    host_ = full_host();
    if (auto cgroups = discover_cgroup_hierarchies()) host_.cgroups = std::move(*cgroups);
  }
  TemporaryDirectory root_;
  TemporaryDirectory bundle_;
  oci::Spec spec_;
  HostFacts host_;
};

TEST_F(FileTree, HoldsAfterApply) {
  EXPECT_TRUE(in_child([&]() -> SysResult<void> {
    TestChild child;
    const Request request = request_of(spec_);
    TRY(make_all(request, host_, child));
    return verify_all(request, host_, child);
  }));
}

TEST_F(FileTree, ShowsWhatTheSpecificationAsksFor) {
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    if (const auto made = make_all(request_of(spec_), host_, child); !answer_of(made)) return false;
    struct statfs status{};
    bool good = true;
    const auto expect = [&](bool held, const char* what) {
      if (!held) std::fprintf(stderr, "not so: %s\n", what);
      good = good && held;
    };
    expect(::statfs("/proc", &status) == 0 && status.f_type == PROC_SUPER_MAGIC, "procfs");
    expect(::statfs("/sys", &status) == 0 && (status.f_flags & ST_RDONLY) != 0, "sysfs read-only");
    expect(::statfs("/dev/shm", &status) == 0 && (status.f_flags & ST_NOEXEC) != 0, "shm noexec");
    expect(exists("/dev/null") && exists("/dev/pts/ptmx") && exists("/dev/fd"), "devices");
    expect(exists("/etc/hosts") && exists("/run/.containerenv"), "binds");
    expect(is_empty_file("/proc/timer_list") || !exists("/proc/timer_list"), "timer_list masked");
    expect(is_empty_file("/proc/keys"), "keys masked");
    if (exists("/proc/sysrq-trigger"))
      expect(::open("/proc/sysrq-trigger", O_WRONLY) < 0 && errno == EROFS,
             "sysrq-trigger read-only");
    expect(::open("/proc/sys/kernel/core_pattern", O_WRONLY) < 0 && errno == EROFS,
           "sys read-only");
    expect(exists("/sys/fs/cgroup/pids/pids.max") || exists("/sys/fs/cgroup/pids/tasks") ||
               exists("/sys/fs/cgroup/cgroup.procs"),
           "cgroups");
    expect(::mkdir("/sys/fs/cgroup/x", 0755) != 0 && errno == EROFS, "cgroup directory read-only");
    expect(!exists(root_.path()) && !exists("/usr"), "the host's tree is gone");
    return good;
  }));
}

TEST_F(FileTree, HoldsWithoutTheNewMountApi) {
  for (const long call : {SYS_open_tree, SYS_fsopen})
    EXPECT_TRUE(in_child([&]() -> SysResult<void> {
      kernel_refuses(call, ENOSYS);
      if (call == SYS_open_tree) kernel_refuses(SYS_open_tree_attr, ENOSYS);
      TestChild child;
      const Request request = request_of(spec_);
      TRY(make_all(request, host_, child));
      return verify_all(request, host_, child);
    })) << "without call "
        << call;
}

TEST_F(FileTree, HoldsWithoutAnyOfTheNewCalls) {
  EXPECT_TRUE(in_child([&]() -> SysResult<void> {
    for (const long call : {SYS_open_tree, SYS_fsopen, SYS_move_mount, SYS_mount_setattr,
                            SYS_open_tree_attr, SYS_openat2})
      kernel_refuses(call, ENOSYS);
    TestChild child;
    const Request request = request_of(spec_);
    TRY(make_all(request, host_, child));
    return verify_all(request, host_, child);
  }));
}

TEST_F(FileTree, HoldsOnLinux510) {
  EXPECT_TRUE(in_child([&]() -> SysResult<void> {
    for (const long call : {SYS_mount_setattr, SYS_open_tree_attr}) kernel_refuses(call, ENOSYS);
    TestChild child;
    const Request request = request_of(spec_);
    TRY(make_all(request, host_, child));
    return verify_all(request, host_, child);
  }));
}

TEST_F(FileTree, VerifyNoticesThatApplyNeverRan) {
  host_.namespaces = gather_host_facts()->namespaces;
  const auto notices = [&]<class L>(L*) {
    return in_child([&] {
      TestChild child;
      enter_private_mount_namespace();
      // Somewhere that is not the container's root, and in which nothing is mounted.
      if (::chroot(root_.path().c_str()) != 0) return false;
      return !verify_again<L>(request_of(spec_), host_, child);
    });
  };
  EXPECT_TRUE(notices(static_cast<EarlyMounts*>(nullptr)));
  EXPECT_TRUE(notices(static_cast<LateMounts*>(nullptr)));
  EXPECT_TRUE(notices(static_cast<Rootfs*>(nullptr)));
  EXPECT_TRUE(notices(static_cast<Devices*>(nullptr)));
  EXPECT_TRUE(notices(static_cast<RootSwitch*>(nullptr)));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !verify_again<MountNamespace>(request_of(spec_), host_, child);
  }));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !verify_again<MaskedPaths>(request_of(spec_), host_, child);
  }));
}

TEST_F(FileTree, FailsClosedWhenTheKernelRefusesACall) {
  // With every way round closed as well.
  for (const auto& calls :
       std::vector<std::vector<long>>{{SYS_unshare},
                                      {SYS_pivot_root},
                                      {SYS_umount2},
                                      {SYS_mount, SYS_open_tree, SYS_open_tree_attr},
                                      {SYS_mount, SYS_fsopen},
                                      {SYS_mount, SYS_move_mount},
                                      {SYS_mknodat, SYS_open_tree_attr, SYS_open_tree}}) {
    EXPECT_TRUE(in_child([&] {
      for (const long call : calls) kernel_refuses(call, EPERM);
      TestChild child;
      return !make_all(request_of(spec_), host_, child);
    })) << "refused: "
        << calls.front();
  }
}

TEST_F(FileTree, CanDoWithoutPivotRoot) {
  EXPECT_TRUE(in_child([&]() -> SysResult<void> {
    TestChild child;
    Request request = request_of(spec_);
    request.root_switch = RootSwitchMethod::kMoveMount;
    TRY(make_all(request, host_, child));
    TRY(verify_all(request, host_, child));
    if (exists("/usr")) return sys_fail_with(EBADE, "the host's tree is there");
    // The classic way out of a chroot ends in the container again.
    ::mkdir("/tmp/inner", 0755);
    if (::chroot("/tmp/inner") != 0) return sys_fail("chroot");
    for (int i = 0; i < 64; ++i)
      if (::chdir("..") != 0) return sys_fail("chdir");
    if (::chroot(".") != 0) return sys_fail("chroot");
    if (exists("/usr") || !exists("/proc/self")) return sys_fail_with(EBADE, "the chroot was left");
    return {};
  }));
}

TEST_F(FileTree, RootCanBeReadOnlyWhileMountsInItAreNot) {
  spec_.root->readonly = true;
  EXPECT_TRUE(in_child([&]() -> SysResult<void> {
    TestChild child;
    const Request request = request_of(spec_);
    TRY(make_all(request, host_, child));
    TRY(verify_all(request, host_, child));
    if (::mkdir("/newdir", 0755) == 0 || errno != EROFS)
      return sys_fail_with(EBADE, "the root is writable");
    if (::mkdir("/dev/newdir", 0755) != 0) return sys_fail("mkdir in /dev");
    return {};
  }));
}

TEST_F(FileTree, MountsInsideAreNotSeenOutside) {
  // The host's side: a shared mount that the container's root lies on.
  EXPECT_TRUE(in_child([&] {
    enter_private_mount_namespace();
    if (::mount("tmpfs", root_.path().c_str(), "tmpfs", 0, nullptr) != 0 ||
        ::mount(nullptr, root_.path().c_str(), nullptr, MS_SHARED, nullptr) != 0)
      could_not_prepare("mount");
    for (const char* name : {"/proc", "/sys", "/dev", "/etc", "/mnt", "/run"})
      ::mkdir((root_.path() + name).c_str(), 0755);
    const bool made = in_child([&]() -> SysResult<void> {
      TestChild child;
      TRY(make_all(request_of(spec_), host_, child));
      if (::mount("tmpfs", "/mnt", "tmpfs", 0, nullptr) != 0) return sys_fail("mount");
      return {};
    });
    const auto mounts = read_file_at(AT_FDCWD, "/proc/self/mountinfo", 1U << 22U);
    return made && mounts && mounts->find(root_.path() + "/") == std::string::npos;
  }));
}

TEST_F(FileTree, HoldsInAUserNamespace) {
  spec_.linux_.namespaces.push_back({oci::NamespaceType::kUser, ""});
  spec_.linux_.uid_mappings = {{0, kTestHostIdBase, kTestIdCount}};
  ::lchown(root_.path().c_str(), kTestHostIdBase, kTestHostIdBase);
  for (const char* name : {"proc", "sys", "dev", "etc"})
    ::lchown(root_.at(name).c_str(), kTestHostIdBase, kTestHostIdBase);
  HostFacts unprivileged = host_;
  unprivileged.in_initial_user_namespace = false;
  const auto inside = [&]() -> SysResult<void> {
    TestChild child;
    const Request request = request_of(spec_);
    TRY(make_all(request, unprivileged, child));
    return verify_all(request, unprivileged, child);
  };
  // The first child of the new pid namespace may mount its procfs.
  EXPECT_TRUE(in_child_as_root_of_user_namespace(
      [&] { return in_child(inside); }, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWPID));
}

TEST(OldMounts, MountPointsAreReadWithTheirEscapesUndone) {
  char path[64];
  ASSERT_TRUE(mount_point_of("31 23 0:28 / /a\\040b\\134 rw - tmpfs tmpfs rw", path, sizeof path));
  EXPECT_STREQ(path, "/a b\\");
  EXPECT_FALSE(mount_point_of("31 23 0:28", path, sizeof path));
  EXPECT_FALSE(mount_point_of("31 23 0:28 / /aaaaaaaaaaaaaaa rw", path, 8));
}

}  // namespace
}  // namespace bulkhead::isolation
