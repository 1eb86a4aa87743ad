// What the default profile stops, each with a positive control: the same attempt without the
// profile.
#include "isolation/seccomp/default_profile.h"

#include <gtest/gtest.h>
#include <linux/keyctl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#include <csignal>

#include "isolation/seccomp/bpf_interpreter.h"
#include "isolation/seccomp/seccomp.h"
#include "isolation/seccomp/testing.h"
#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using isolation::testing::in_child;
using isolation::testing::TestChild;
using seccomp::Abi;

const std::vector<std::string> kUsual = {"CAP_CHOWN", "CAP_SETUID", "CAP_NET_BIND_SERVICE"};

Seccomp::Plan default_plan(const std::vector<std::string>& granted = kUsual) {
  oci::Spec spec;
  spec.linux_.seccomp = seccomp::default_profile(granted);
  HostFacts host;
  host.kernel_major = 5;
  host.kernel_minor = 10;
  auto plan = Seccomp::describe(Request{.spec = spec}, host);
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  EXPECT_TRUE(plan->unknown_names.empty());
  return *std::move(plan);
}

// A raw system call by the 32-bit door of the kernel. Pointers must lie below 4 GiB.
long int80(long number, unsigned long a = 0, unsigned long b = 0, unsigned long c = 0) {
  long result = number;
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(a), "c"(b), "d"(c)
               : "memory", "r8", "r9", "r10", "r11");
  return result;
}

// An attempt's outcome: 0, or the errno.
int outcome(long result) { return result < 0 ? errno : 0; }

// What `attempt` gives with and without the profile; the latter must not be what a filter says.
template <class Attempt>
void expect_stopped(Attempt attempt, int error) {
  const auto plan = default_plan();
  int without = -1;
  {
    int* shared = static_cast<int*>(
        ::mmap(nullptr, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    in_child([&] {
      *shared = attempt();
      return true;
    });
    without = *shared;
    ::munmap(shared, sizeof(int));
  }
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return Seccomp::apply(plan, child) && attempt() == error;
  }));
  if (without == error || without == ENOSYS || without == EAFNOSUPPORT)
    GTEST_SKIP() << "no positive control on this kernel: without the profile it says \""
                 << errno_text(without) << '"';
}

TEST(DefaultSeccompProfile, StopsIoUring) {
  expect_stopped(
      [] {
        char parameters[120] = {};
        return outcome(::syscall(SYS_io_uring_setup, 4, parameters));
      },
      EPERM);
}

TEST(DefaultSeccompProfile, StopsAlgSockets) {
  expect_stopped([] { return outcome(::socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0)); }, EPERM);
}
TEST(DefaultSeccompProfile, StopsVsockSockets) {
  expect_stopped([] { return outcome(::socket(40 /* AF_VSOCK */, SOCK_STREAM, 0)); }, EPERM);
}
TEST(DefaultSeccompProfile, StopsRxrpcSockets) {
  expect_stopped([] { return outcome(::socket(33 /* AF_RXRPC */, SOCK_DGRAM, 2)); }, EPERM);
}
TEST(DefaultSeccompProfile, StopsKeySockets) {
  expect_stopped([] { return outcome(::socket(15 /* AF_KEY */, SOCK_RAW, 2)); }, EPERM);
}
TEST(DefaultSeccompProfile, StopsXfrmSockets) {
  expect_stopped([] { return outcome(::socket(AF_NETLINK, SOCK_RAW, 6)); }, EPERM);
}
TEST(DefaultSeccompProfile, StopsAFamilyHiddenBehindTheUpperBits) {
  // The kernel reads 32 bits of the family: without the filter this is a Unix socket.
  expect_stopped(
      [] { return outcome(::syscall(SYS_socket, 0x1'0000'0000UL | AF_UNIX, SOCK_STREAM, 0)); },
      EPERM);
}

TEST(DefaultSeccompProfile, StopsSocketcallWhereTheFamilyCannotBeSeen) {
  expect_stopped(
      [] {
        auto* arguments = static_cast<std::uint32_t*>(::mmap(
            nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
        arguments[0] = AF_UNIX;
        arguments[1] = SOCK_STREAM;
        arguments[2] = 0;
        const long result = int80(102, 1, reinterpret_cast<unsigned long>(arguments));
        return result < 0 ? static_cast<int>(-result) : 0;
      },
      EPERM);
}

TEST(DefaultSeccompProfile, StopsNewUserNamespaces) {
  expect_stopped([] { return outcome(::unshare(CLONE_NEWUSER)); }, EPERM);
}
TEST(DefaultSeccompProfile, StopsNewUserNamespacesByClone) {
  expect_stopped(
      [] {
        const long child = ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
        if (child == 0) ::_exit(0);
        return outcome(child);
      },
      EPERM);
}
TEST(DefaultSeccompProfile, HidesClone3) {
  const auto plan = default_plan();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return Seccomp::apply(plan, child) && ::syscall(SYS_clone3, nullptr, 0) == -1 &&
           errno == ENOSYS;
  }));
}
TEST(DefaultSeccompProfile, StopsKeyrings) {
  expect_stopped(
      [] {
        return outcome(::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1));
      },
      EPERM);
}
TEST(DefaultSeccompProfile, StopsTracing) {
  expect_stopped([] { return outcome(::ptrace(PTRACE_TRACEME, 0, 0, 0)); }, EPERM);
}
TEST(DefaultSeccompProfile, StopsUserfaultfd) {
  expect_stopped([] { return outcome(::syscall(SYS_userfaultfd, O_CLOEXEC)); }, EPERM);
}
TEST(DefaultSeccompProfile, StopsTypingIntoTheTerminal) {
  expect_stopped(
      [] {
        const int terminal = ::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
        const char key = 'x';
        // With bits that the kernel does not read.
        return outcome(::syscall(SYS_ioctl, terminal, 0x7'0000'0000UL | TIOCSTI, &key));
      },
      EIO);
}

TEST(DefaultSeccompProfile, StopsTheNewestAndUnknownCallsWithEnosys) {
  const auto plan = default_plan();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return Seccomp::apply(plan, child) && ::syscall(1000) == -1 && errno == ENOSYS;
  }));
}

TEST(DefaultSeccompProfile, KillsX32Calls) {
  const auto plan = default_plan();
  EXPECT_EQ(seccomp::interpret(plan.program, seccomp::testing::call_of(Abi::kX32, 0)),
            seccomp::kForeignAbiVerdict);
}

TEST(DefaultSeccompProfile, LetsOrdinaryProgramsWork) {
  const auto plan = default_plan();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    if (!Seccomp::apply(plan, child)) return false;
    bool good = true;
    for (const int family : {AF_UNIX, AF_INET, AF_INET6})
      for (const int type : {int{SOCK_STREAM}, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK})
        good = good && (::socket(family, type, 0) >= 0 || errno == EAFNOSUPPORT);
    good = good && ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) >= 0;
    int pair[2];
    good = good && ::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0;
    good = good && ::system("/bin/echo ok | /bin/grep -q ok") == 0;
    int rows = 0;
    return good && (::ioctl(pair[0], FIONREAD, &rows) == 0);
  }));
}

TEST(DefaultSeccompProfile, TellsTheAuditLibraryThatThereIsNoAuditing) {
  const auto plan = default_plan();
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return Seccomp::apply(plan, child) && ::socket(AF_NETLINK, SOCK_RAW, 9) == -1 &&
           errno == EPROTONOSUPPORT;
  }));
}

TEST(DefaultSeccompProfile, OpensWithACapabilityWhatIsOfNoUseWithoutIt) {
  const auto verdict = [](const Seccomp::Plan& plan, std::string_view name,
                          std::array<std::uint64_t, 6> arguments = {}) {
    return *seccomp::interpret(
        plan.program,
        seccomp::testing::call_of(Abi::kX86_64, seccomp::find_syscall(name)->number(Abi::kX86_64),
                                  arguments));
  };
  const auto usual = default_plan();
  const auto admin = default_plan({"CAP_SYS_ADMIN", "CAP_NET_RAW", "CAP_SYS_PTRACE"});
  for (const char* name : {"mount", "setns", "unshare", "ptrace"}) {
    EXPECT_EQ(verdict(usual, name), SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EPERM)) << name;
    EXPECT_EQ(verdict(admin, name), SECCOMP_RET_ALLOW) << name;
  }
  EXPECT_EQ(verdict(admin, "clone3"), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(admin, "socket", {AF_INET, SOCK_RAW, 1}), SECCOMP_RET_ALLOW);
  EXPECT_NE(verdict(usual, "socket", {AF_INET, SOCK_RAW, 1}), SECCOMP_RET_ALLOW);
  // Never, whatever is granted.
  for (const char* name : {"io_uring_setup", "keyctl", "add_key", "userfaultfd", "kexec_load"})
    EXPECT_EQ(verdict(admin, name), SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EPERM)) << name;
}

TEST(DefaultSeccompProfile, ClosesRareInternetProtocols) {
  const auto plan = default_plan();
  for (const std::uint64_t protocol : {33U, 115U, 132U, 136U})
    EXPECT_EQ(seccomp::interpret(plan.program,
                                 seccomp::testing::call_of(Abi::kX86_64, SYS_socket,
                                                           {AF_INET, SOCK_STREAM, protocol})),
              SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EPROTONOSUPPORT));
}

TEST(DefaultSeccompProfile, GivesEachDeniedGroupAReason) {
  for (const seccomp::DeniedGroup& group : seccomp::denied_groups()) {
    EXPECT_FALSE(group.reason.empty());
    for (const std::string_view name : group.calls)
      EXPECT_NE(seccomp::find_syscall(name), nullptr) << name;
  }
  const auto explanation = Seccomp::explain(default_plan());
  std::string told;
  for (const Fact& fact : explanation.facts)
    if (fact.name == "io_uring") told = fact.value + ": " + fact.why;
  EXPECT_TRUE(told.starts_with("denied: its operations pass by")) << told;
}

}  // namespace
}  // namespace bulkhead::isolation
