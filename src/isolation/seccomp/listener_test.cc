// SCMP_ACT_NOTIFY: both halves of the hand-over of the listener, with a program that is under it.
#include "isolation/seccomp/listener.h"

#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

Seccomp::Plan plan_of(oci::Seccomp profile) {
  oci::Spec spec;
  spec.linux_.seccomp = std::move(profile);
  HostFacts host;
  host.kernel_major = 6;
  auto plan = Seccomp::describe(Request{.spec = spec}, host);
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  return *std::move(plan);
}

// A parent half that keeps what the child sends.
struct Receiver {
  int socket[2] = {-1, -1};
  Receiver() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socket), 0); }
  ~Receiver() {
    ::close(socket[0]);
    ::close(socket[1]);
  }

  static SysResult<void> send(void* self, std::string_view purpose, int fd) noexcept {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    iovec data{const_cast<char*>(purpose.data()), purpose.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    *header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (::sendmsg(static_cast<Receiver*>(self)->socket[1], &message, 0) < 0)
      return sys_fail("sendmsg");
    return {};
  }
};

// What arrives at `socket`: text, and the descriptor beside it.
std::pair<std::string, Fd> receive(int socket) {
  char text[4096];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec data{text, sizeof text};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (size <= 0 || header == nullptr) return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return {std::string(text, static_cast<std::size_t>(size)), Fd(fd)};
}

// Answers one notification: its number, or -1. 0 lets the call go on.
int answer_one(int listener, int error) {
  seccomp_notif request{};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) return -1;
  seccomp_notif_resp response{};
  response.id = request.id;
  response.error = -error;
  if (error == 0) response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) != 0) return -1;
  return request.data.nr;
}

// A child that applies `plan` and then executes `program`.
pid_t start(const Seccomp::Plan& plan, Receiver& receiver, const char* program,
            const char* argument = nullptr) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ChildContext context;
  context.parent.self = &receiver;
  context.parent.send_descriptor = Receiver::send;
  char* const argv[] = {const_cast<char*>(program), const_cast<char*>(argument), nullptr};
  char* const envp[] = {nullptr};
  if (!Seccomp::apply(plan, context)) ::_exit(100);
  ::execve(program, argv, envp);
  ::_exit(101);
}

int exit_code_of(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

oci::Seccomp notifying(std::vector<std::string> names) {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  profile.listener_path = "/run/agent.sock";
  profile.flags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"};
  profile.syscalls = {{std::move(names), "SCMP_ACT_NOTIFY", std::nullopt, {}}};
  return profile;
}

TEST(SeccompListener, ReachesTheParentWhenExecveItselfIsNotified) {
  const auto plan = plan_of(notifying({"execve"}));
  Receiver receiver;
  const pid_t pid = start(plan, receiver, "/bin/true");
  const auto [purpose, listener] = receive(receiver.socket[0]);
  EXPECT_EQ(purpose, Seccomp::kListenerPurpose);
  ASSERT_TRUE(listener);
  EXPECT_EQ(answer_one(listener.get(), 0), SYS_execve);
  EXPECT_EQ(exit_code_of(pid), 0);
}

TEST(SeccompListener, ReachesTheParentWhenEveryCallIsNotified) {
  oci::Seccomp profile = notifying({"getppid"});
  profile.default_action = "SCMP_ACT_NOTIFY";
  profile.syscalls[0].action = "SCMP_ACT_ALLOW";
  const auto plan = plan_of(profile);
  Receiver receiver;
  const pid_t pid = start(plan, receiver, "/bin/true");
  const auto [purpose, listener] = receive(receiver.socket[0]);
  ASSERT_TRUE(listener);
  int last = 0;
  EXPECT_EQ(answer_one(listener.get(), 0), SYS_execve) << "the first call after the filter";
  while (last != SYS_exit_group && last >= 0) last = answer_one(listener.get(), 0);
  EXPECT_EQ(exit_code_of(pid), 0);
}

TEST(SeccompListener, DecidesAboutTheProgramsCalls) {
  const auto plan = plan_of(notifying({"exit_group"}));
  Receiver receiver;
  const pid_t pid = start(plan, receiver, "/bin/false");
  const auto [purpose, listener] = receive(receiver.socket[0]);
  ASSERT_TRUE(listener);
  EXPECT_EQ(answer_one(listener.get(), 0), SYS_exit_group);
  EXPECT_EQ(exit_code_of(pid), 1);
}

TEST(SeccompListener, LeavesNoSecondThreadAndNoChildBehind) {
  const auto plan = plan_of(notifying({"getppid"}));
  Receiver receiver;
  const pid_t pid = start(plan, receiver, "/bin/sleep", "60");
  ASSERT_TRUE(receive(receiver.socket[0]).second);
  std::string threads;
  for (int i = 0; i < 100 && threads.find("/sleep") == std::string::npos; ++i) {
    std::error_code error;
    threads =
        std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe", error).string();
    ::usleep(10'000);
  }
  const std::string task = "/proc/" + std::to_string(pid) + "/task";
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(task), {}), 1);
  const auto children =
      read_file_at(AT_FDCWD, (task + "/" + std::to_string(pid) + "/children").c_str());
  EXPECT_EQ(children.value_or(""), "");
  ::kill(pid, SIGKILL);
  exit_code_of(pid);
}

TEST(SeccompListener, FailsClosedWhenTheKernelRefusesTheFilter) {
  const auto plan = plan_of(notifying({"getppid"}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_seccomp, EPERM);
    const auto applied = Seccomp::apply(plan, child);
    return !applied && applied.error().error == EPERM && child.parent.descriptors_sent == 0;
  }));
}

TEST(SeccompListener, FailsWhenTheParentIsGone) {
  const auto plan = plan_of(notifying({"getppid"}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    child.parent.error = EPIPE;
    const auto applied = Seccomp::apply(plan, child);
    return !applied && applied.error().error == EPIPE;
  }));
}

// --- the agent -----------------------------------------------------------------------------------

class Agent {
 public:
  Agent() : path_(::testing::TempDir() + "agent-" + std::to_string(::getpid()) + ".sock") {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    ::unlink(path_.c_str());
    socket_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(socket_.get(), 4), 0);
  }
  ~Agent() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }
  Fd accept() const { return Fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }

 private:
  std::string path_;
  Fd socket_;
};

TEST(SeccompAgent, GetsTheStateAndTheListener) {
  const Agent agent;
  Seccomp::Plan plan;
  plan.listener_path = agent.path();
  plan.listener_metadata = "what the user wrote";
  oci::State state;
  state.oci_version = "1.2.0";
  state.id = "c1";
  state.pid = 42;
  state.bundle = "/bundle";
  ASSERT_TRUE(hand_over_listener(plan, state, Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC))));
  const Fd connection = agent.accept();
  const auto [text, fd] = receive(connection.get());
  EXPECT_TRUE(fd);
  EXPECT_NE(text.find(R"("fds":["seccompFd"])"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("pid":42)"), std::string::npos);
  EXPECT_NE(text.find(R"("metadata":"what the user wrote")"), std::string::npos);
  EXPECT_NE(text.find(R"("id":"c1")"), std::string::npos);
  char byte = 0;
  EXPECT_EQ(::read(connection.get(), &byte, 1), 0) << "the connection is closed after one state";
}

TEST(SeccompAgent, ThatIsNotThereIsAnErrorThatNamesItsSocket) {
  Seccomp::Plan plan;
  plan.listener_path = "/nonexistent/agent.sock";
  const auto sent = hand_over_listener(plan, {}, Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  ASSERT_FALSE(sent);
  EXPECT_NE(sent.error().message().find("/nonexistent/agent.sock"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::isolation
