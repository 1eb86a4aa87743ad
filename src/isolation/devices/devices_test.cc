#include "isolation/devices/devices.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "isolation/mounts/tree_testing.h"

namespace bulkhead::isolation {
namespace {

using namespace testing;

bool is_device(const char* path, unsigned device_major, unsigned device_minor) {
  struct stat status{};
  return ::stat(path, &status) == 0 && S_ISCHR(status.st_mode) &&
         status.st_rdev == makedev(device_major, device_minor);
}

oci::Device device(std::string type, std::string path, std::int64_t device_major,
                   std::int64_t device_minor) {
  oci::Device made;
  made.type = std::move(type);
  made.path = std::move(path);
  made.major = device_major;
  made.minor = device_minor;
  return made;
}

class DevicesInTree : public ::testing::Test {
 protected:
  void SetUp() override {
    fill_root(root_);
    spec_ = spec_of(root_.path());
    spec_.mounts = {dev_mount()};
  }
  std::string refusal() {
    const auto plan = Devices::describe(request_of(spec_), host_);
    return plan ? "" : plan.error().message();
  }
  SysResult<void> make_devices(TestChild& child) {
    TRY(make_tree(request_of(spec_), host_, child));
    return make<Devices>(request_of(spec_), host_, child);
  }

  TemporaryDirectory root_;
  oci::Spec spec_;
  HostFacts host_ = full_host();
};

TEST_F(DevicesInTree, TheDefaultOnesAreTheSpecifications) {
  const auto plan = Devices::describe(request_of(spec_), host_);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->method, DeviceMethod::kMake);
  EXPECT_EQ(plan->nodes.size(), 6U);
  EXPECT_EQ(plan->links.size(), 5U);
  EXPECT_EQ(Devices::explain(*plan).facts.front().value, "1:3");
}

TEST_F(DevicesInTree, BadDevicesAreRefusedWithTheirPlace) {
  spec_.linux_.devices = {device("x", "/dev/x", 1, 1)};
  EXPECT_NE(refusal().find("/linux/devices/0/type"), std::string::npos);
  spec_.linux_.devices = {device("c", "dev/x", 1, 1)};
  EXPECT_NE(refusal().find("/linux/devices/0/path"), std::string::npos);
  spec_.linux_.devices = {device("c", "/dev/x", 5000, 1)};
  EXPECT_NE(refusal().find("5000:1"), std::string::npos);
  spec_.linux_.devices = {device("c", "/dev/x", 1, 1)};
  spec_.linux_.devices[0].minor.reset();
  EXPECT_NE(refusal().find("minor"), std::string::npos);
  spec_.linux_.devices = {device("b", "/dev/x", 1, 1)};
  spec_.linux_.devices[0].file_mode = S_IFCHR | 0600U;
  EXPECT_NE(refusal().find("fileMode"), std::string::npos);
  spec_.linux_.devices[0].file_mode = S_IFBLK | 0600U;
  EXPECT_EQ(refusal(), "");
}

TEST_F(DevicesInTree, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  spec_.linux_.devices = {device("c", "/dev/net/tun", 10, 200), device("p", "/dev/pipe", 0, 0)};
  spec_.linux_.devices[0].file_mode = 0640;
  spec_.linux_.devices[0].uid = ContainerUid(3);
  spec_.linux_.devices[0].gid = ContainerGid(4);
  EXPECT_TRUE(in_child([&]() -> SysResult<void> {
    TestChild child;
    TRY(make_devices(child));
    if (!step_inside(child)) return sys_fail("chroot");
    struct stat tun{};
    struct stat pipe{};
    const bool good = is_device("/dev/null", 1, 3) && is_device("/dev/zero", 1, 5) &&
                      is_device("/dev/full", 1, 7) && is_device("/dev/random", 1, 8) &&
                      is_device("/dev/urandom", 1, 9) && is_device("/dev/tty", 5, 0) &&
                      is_device("/dev/net/tun", 10, 200) && exists("/dev/ptmx") &&
                      exists("/dev/stderr") && ::stat("/dev/net/tun", &tun) == 0 &&
                      (tun.st_mode & 07777) == 0640 && tun.st_uid == 3 && tun.st_gid == 4 &&
                      ::stat("/dev/pipe", &pipe) == 0 && S_ISFIFO(pipe.st_mode);
    if (!good) return sys_fail_with(EBADE, "devices");
    return verify_again<Devices>(request_of(spec_), host_, child);
  }));
}

TEST_F(DevicesInTree, AreBoundWhereTheyCannotBeMade) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([&]() -> SysResult<void> {
    kernel_refuses_argument(SYS_mknodat, 2, S_IFCHR | 0666U, EPERM);
    TestChild child;
    TRY(make_devices(child));
    if (!step_inside(child)) return sys_fail("chroot");
    struct statvfs status{};
    const Fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    const bool good = is_device("/dev/null", 1, 3) && is_device("/dev/urandom", 1, 9) && null &&
                      ::write(null.get(), "x", 1) == 1 && ::statvfs("/dev/null", &status) == 0 &&
                      (status.f_flag & ST_RDONLY) != 0 && ::chmod("/dev/null", 0600) != 0 &&
                      errno == EROFS;
    if (!good) return sys_fail_with(EBADE, "bound devices");
    return {};
  }));
}

TEST_F(DevicesInTree, AUserNamespaceGetsTheHostsNodes) {
  SKIP_UNLESS_ROOT();
  spec_.linux_.namespaces.push_back({oci::NamespaceType::kUser, ""});
  host_.effective_capabilities = 0;
  ::lchown(root_.at("dev").c_str(), kTestHostIdBase, kTestHostIdBase);
  const auto plan = Devices::describe(request_of(spec_), host_);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->method, DeviceMethod::kBind);
  EXPECT_TRUE(in_child_as_root_of_user_namespace(
      [&]() -> SysResult<void> {
        TestChild child;
        TRY(make_devices(child));
        if (!step_inside(child)) return sys_fail("chroot");
        if (!is_device("/dev/null", 1, 3) || !is_device("/dev/tty", 5, 0))
          return sys_fail_with(EBADE, "devices");
        const Fd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
        char byte = 1;
        if (!zero || ::read(zero.get(), &byte, 1) != 1 || byte != 0)
          return sys_fail_with(EBADE, "read /dev/zero");
        return {};
      },
      CLONE_NEWNS));
}

TEST_F(DevicesInTree, SomethingElseWhereADeviceGoesIsAnError) {
  SKIP_UNLESS_ROOT();
  spec_.mounts.clear();
  root_.file("dev/null", "a trap");
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const auto made = make_devices(child);
    return !made && made.error().error == EEXIST;
  }));
}

// An image whose /dev leads away (CVE-2026-41579).
TEST_F(DevicesInTree, NothingIsMadeOutsideTheRoot) {
  SKIP_UNLESS_ROOT();
  TemporaryDirectory victim;
  spec_.mounts.clear();
  ::rmdir(root_.at("dev").c_str());
  root_.link("dev", victim.path().c_str());
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return answer_of(make_devices(child)) && step_inside(child) && is_device("/dev/null", 1, 3);
  }));
  EXPECT_FALSE(exists(victim.at("null")));
}

TEST_F(DevicesInTree, ABoundDevIsLeftAlone) {
  SKIP_UNLESS_ROOT();
  TemporaryDirectory other;
  spec_.mounts = {bind_mount(other.path(), "/dev")};
  const auto plan = Devices::describe(request_of(spec_), host_);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->method, DeviceMethod::kOnlyCheck);
  EXPECT_EQ(Devices::explain(*plan).standing, Standing::kOpened);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return answer_of(make_devices(child));
  }));
  EXPECT_FALSE(exists(other.at("null")));
  spec_.linux_.devices = {device("c", "/dev/fuse", 10, 229)};
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !make_devices(child);
  }));
}

TEST_F(DevicesInTree, FailsClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([&] {
    kernel_refuses(SYS_mknodat, EPERM);
    TestChild child;
    return !make_devices(child);
  }));
  EXPECT_TRUE(in_child([&] {
    kernel_refuses(SYS_symlinkat, EPERM);
    TestChild child;
    return !make_devices(child);
  }));
}

}  // namespace
}  // namespace bulkhead::isolation
