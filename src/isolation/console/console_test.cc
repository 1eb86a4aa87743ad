#include "isolation/console/console.h"

#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "isolation/devices/devices.h"
#include "isolation/mounts/tree_testing.h"

namespace bulkhead::isolation {
namespace {

using namespace testing;

class ConsoleInTree : public ::testing::Test {
 protected:
  void SetUp() override {
    fill_root(root_);
    spec_ = spec_of(root_.path());
    spec_.mounts = {proc_mount(), dev_mount(), devpts_mount()};
    spec_.process = oci::Process{};
    spec_.process->terminal = true;
    spec_.process->console_size = oci::ConsoleSize{42, 137};
    spec_.process->user.uid = ContainerUid(1234);
  }
  // As the parent does: a terminal without its master hangs up.
  static void keep_master(TestChild& child) {
    child.context.parent.send_descriptor = [](void* self, std::string_view,
                                              int fd) noexcept -> SysResult<void> {
      if (::dup(fd) < 0) return sys_fail("dup");
      ++static_cast<ParentStandIn*>(self)->descriptors_sent;
      return {};
    };
  }
  SysResult<void> make_console(TestChild& child) {
    ::setsid();
    keep_master(child);
    TRY(make_tree(request_of(spec_), host_, child));
    TRY(make<Devices>(request_of(spec_), host_, child));
    return make<Console>(request_of(spec_), host_, child);
  }

  TemporaryDirectory root_;
  oci::Spec spec_;
  HostFacts host_ = full_host();
};

TEST_F(ConsoleInTree, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([&]() -> SysResult<void> {
    TestChild child;
    TRY(make_console(child));
    TRY(verify_again<Console>(request_of(spec_), host_, child));
    if (child.parent.descriptors_sent != 1) return sys_fail_with(EBADE, "the master was not sent");
    struct winsize size{};
    if (::ioctl(0, TIOCGWINSZ, &size) != 0 || size.ws_row != 42 || size.ws_col != 137)
      return sys_fail_with(EBADE, "size");
    struct stat terminal{};
    struct stat console{};
    if (!step_inside(child) || ::fstat(1, &terminal) != 0 ||
        ::stat("/dev/console", &console) != 0 || terminal.st_rdev != console.st_rdev ||
        terminal.st_uid != 1234)
      return sys_fail_with(EBADE, "/dev/console");
    const Fd own(::open("/dev/tty", O_RDWR | O_CLOEXEC));
    if (!own) return sys_fail("open /dev/tty");
    return {};
  }));
}

TEST_F(ConsoleInTree, WithoutATerminalThereIsNothingToDo) {
  spec_.process->terminal = false;
  const auto plan = Console::describe(request_of(spec_), host_);
  ASSERT_TRUE(plan);
  EXPECT_EQ(Console::explain(*plan).standing, Standing::kNotApplicable);
}

TEST_F(ConsoleInTree, ATerminalNeedsADevpts) {
  spec_.mounts.clear();
  const auto plan = Console::describe(request_of(spec_), host_);
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().message().find("devpts"), std::string::npos);
}

// What stands at /dev/pts/ptmx must be a multiplexer (CVE-2025-52565 and its kin).
TEST_F(ConsoleInTree, AFalseMultiplexerIsRefused) {
  SKIP_UNLESS_ROOT();
  TemporaryDirectory pts;
  pts.file("ptmx", "a trap");
  spec_.mounts = {dev_mount(), bind_mount(pts.path(), "/dev/pts")};
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const auto made = make_console(child);
    return !made && made.error().error == ENOTTY;
  }));
  ::unlink(pts.at("ptmx").c_str());
  // The right number, but not of a devpts.
  ::mknod(pts.at("ptmx").c_str(), S_IFCHR | 0666, makedev(5, 2));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const auto made = make_console(child);
    return !made && made.error().error == ENOTTY;
  }));
}

TEST_F(ConsoleInTree, ExecTakesATerminalOfTheContainerItIsIn) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(in_child([&]() -> SysResult<void> {
    TestChild child;
    spec_.process->terminal = false;
    TRY(make_console(child));
    if (!step_inside(child)) return sys_fail("chroot");
    TestChild inside;
    keep_master(inside);
    spec_.process->terminal = true;
    Request request = request_of(spec_);
    request.joining = true;
    TRY(make<Console>(request, host_, inside));
    return verify_again<Console>(request, host_, inside);
  }));
}

TEST_F(ConsoleInTree, VerifyNoticesThatApplyNeverRan) {
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !verify_again<Console>(request_of(spec_), host_, child);
  }));
}

TEST_F(ConsoleInTree, FailsClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  for (const std::uint32_t request :
       {0x5441U /* TIOCGPTPEER */, 0x540EU /* TIOCSCTTY */, 0x5414U /* TIOCSWINSZ */})
    EXPECT_TRUE(in_child([&] {
      kernel_refuses_argument(SYS_ioctl, 1, request, EPERM);
      TestChild child;
      return !make_console(child);
    })) << request;
}

}  // namespace
}  // namespace bulkhead::isolation
