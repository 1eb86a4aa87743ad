#include "runtime/activation.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

using testing::IdleProcess;
using testing::TemporaryDirectory;

// Environment variables for one test.
class Environment {
 public:
  Environment(std::initializer_list<std::pair<const char*, std::string>> variables) {
    for (const auto& [name, value] : variables) ::setenv(name, value.c_str(), 1);
  }
  ~Environment() {
    for (const char* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"})
      ::unsetenv(name);
  }
};

// Runs with descriptors 3 and 4 open and 5 closed, in a child, because the test's own are
// elsewhere.
template <class Body>
bool with_descriptors(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (const int fd : {3, 4})
      if (fd != null) ::dup3(null, fd, O_CLOEXEC);
    ::close(5);
    ::_exit(body() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0;
}

bool has(const oci::Process& process, std::string_view entry) {
  return std::ranges::find(process.env, entry) != process.env.end();
}

Fd datagram_socket_at(const std::string& path) {
  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return socket;
}

void say(const std::string& path, std::string_view text) {
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  EXPECT_GT(::sendto(socket.get(), text.data(), text.size(), 0,
                     reinterpret_cast<sockaddr*>(&address), sizeof address),
            0)
      << errno_text(errno);
}

TEST(Activation, PassesNothingByDefault) {
  oci::Process process;
  EXPECT_EQ(pass_descriptors(process, 0).value(), 0U);
  EXPECT_TRUE(process.env.empty());
}

TEST(Activation, PassesActivatedSocketsAndTellsTheWorkload) {
  const Environment environment({{"LISTEN_FDS", "1"}, {"LISTEN_FDNAMES", "http"}});
  EXPECT_TRUE(with_descriptors([] {
    oci::Process process;
    process.env = {"LISTEN_PID=77", "A=1"};
    return pass_descriptors(process, 1).value_or(0) == 2 && has(process, "LISTEN_FDS=1") &&
           has(process, "LISTEN_PID=1") && has(process, "LISTEN_FDNAMES=http") &&
           !has(process, "LISTEN_PID=77") && ::fcntl(3, F_GETFD) == 0 && ::fcntl(4, F_GETFD) == 0;
  }));
}

TEST(Activation, LeavesAloneWhatIsMeantForAnotherProcess) {
  const Environment environment({{"LISTEN_FDS", "1"}, {"LISTEN_PID", "1"}});
  oci::Process process;
  EXPECT_EQ(pass_descriptors(process, 0).value(), 0U);
}

TEST(Activation, RefusesDescriptorsThatAreNotOpen) {
  EXPECT_TRUE(with_descriptors([] {
    oci::Process process;
    const auto passed = pass_descriptors(process, 3);
    return !passed && passed.error().message() == "--preserve-fds: descriptor 5 is not open";
  }));
  const Environment environment({{"LISTEN_FDS", "many"}});
  oci::Process process;
  EXPECT_FALSE(pass_descriptors(process, 0));
}

TEST(NotifySocket, IsOfferedOnlyWhenTheHostHasOne) {
  const TemporaryDirectory place;
  const auto directory = ContainerDirectory::take(place.path(), "web");
  oci::Spec spec;
  spec.process.emplace();
  EXPECT_FALSE(offer_notify_socket(spec, *directory).value());
  EXPECT_TRUE(spec.mounts.empty());
  EXPECT_FALSE(NotifyRelay::listen(*directory).value());
  const Environment environment({{"NOTIFY_SOCKET", "relative"}});
  EXPECT_FALSE(offer_notify_socket(spec, *directory));
}

TEST(NotifySocket, TellsTheHostWhenTheContainerIsReady) {
  const TemporaryDirectory place;
  const std::string host_path = place / "host.sock";
  const Environment environment({{"NOTIFY_SOCKET", host_path}});
  const Fd host = datagram_socket_at(host_path);
  const auto directory = ContainerDirectory::take(place.path(), "web");
  oci::Spec spec;
  spec.process.emplace().env = {"NOTIFY_SOCKET=" + host_path};
  ASSERT_TRUE(offer_notify_socket(spec, *directory).value());
  ASSERT_EQ(spec.mounts.size(), 1U);
  EXPECT_EQ(spec.mounts[0].destination, "/run/notify");
  EXPECT_EQ(spec.process->env, std::vector<std::string>{"NOTIFY_SOCKET=/run/notify/notify.sock"});

  const auto relay = NotifyRelay::listen(*directory);
  ASSERT_TRUE(relay && *relay);
  const std::string socket = spec.mounts[0].source + "/notify.sock";
  say(socket, "MAINPID=1\nSTATUS=starting");
  say(socket, "READY=1");
  IdleProcess process;
  const PidFd init = *PidFd::open(process.pid());
  ASSERT_TRUE(relay->wait_until_ready(init));
  char text[128] = {};
  ASSERT_GT(::recv(host.get(), text, sizeof text, MSG_DONTWAIT), 0);
  EXPECT_EQ(std::string(text), "MAINPID=" + std::to_string(process.pid().value()) + "\nREADY=1");
  EXPECT_LT(::recv(host.get(), text, sizeof text, MSG_DONTWAIT), 0);
}

TEST(NotifySocket, IsNotWaitedForWhenTheContainerEnds) {
  const TemporaryDirectory place;
  const Environment environment({{"NOTIFY_SOCKET", place / "host.sock"}});
  const auto directory = ContainerDirectory::take(place.path(), "web");
  oci::Spec spec;
  ASSERT_TRUE(offer_notify_socket(spec, *directory).value());
  const auto relay = NotifyRelay::listen(*directory);
  IdleProcess process;
  const PidFd init = *PidFd::open(process.pid());
  process.end();
  EXPECT_TRUE(relay->wait_until_ready(init));
}

}  // namespace
}  // namespace bulkhead::runtime
