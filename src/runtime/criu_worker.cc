#include "runtime/criu_worker.h"

#include <linux/keyctl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/text.h"
#include "runtime/console_socket.h"
#include "runtime/criu_log.h"
#include "runtime/hook_process.h"
#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

constexpr int kOldestVersion = 31600;  // external files, cgroup v2 and lsm_mount_context
constexpr std::size_t kLargestMessage = 64 << 10;

Error no_criu() {
  return {ErrorKind::kUnsupported, "checkpoints are made by CRIU, and there is no criu in the PATH",
          "install the package criu, as root, and try again"};
}

struct Received {
  std::string bytes;  // empty: the end
  Fd descriptor;
};

// Within the time that undoing a restore takes.
bool has_message(int socket) {
  constexpr int kPatienceMilliseconds = 5'000;
  struct pollfd item{socket, POLLIN, 0};
  int ready = 0;
  do ready = ::poll(&item, 1, kPatienceMilliseconds);
  while (ready < 0 && errno == EINTR);
  return ready > 0;
}

Result<Received> receive(int socket) {
  Received received;
  received.bytes.resize(kLargestMessage);
  struct iovec part{received.bytes.data(), received.bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  struct msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size = 0;
  do size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (size < 0 && errno == EINTR);
  // CRIU may die with a request of ours unread.
  if (size < 0 && errno != ECONNRESET) return std::unexpected(Error(SysError{"recvmsg", errno}));
  received.bytes.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    received.descriptor = Fd(descriptor);
  }
  if ((message.msg_flags & MSG_TRUNC) != 0)
    return fail(ErrorKind::kInvalid, "CRIU's answer is too long");
  return received;
}

// The names of what the child sends before it executes CRIU.
constexpr std::string_view kImages = "images";
constexpr std::string_view kWork = "work";

Result<void> send_directory(int report, const std::string& path, std::string_view name) {
  TRY_ASSIGN(const Fd directory, open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY));
  return send_descriptor(report, directory.get(), name);
}

SysResult<void> enter_own_mounts(const CriuSurroundings& surroundings, int report) {
  if (surroundings.root.empty()) return {};
  const char* root = surroundings.root.c_str();
  if (::unshare(CLONE_NEWNS) != 0) return sys_fail("unshare(CLONE_NEWNS)");
  if (::mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0)
    return sys_fail("mount(MS_SLAVE)", "/");
  if (::mount(root, root, nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return sys_fail("mount(MS_BIND)", root);
  if (!send_directory(report, surroundings.images, kImages) ||
      !send_directory(report, surroundings.work, kWork))
    return sys_fail("opening the images", surroundings.images.c_str());
  return {};
}

// The child half, after fork: this process has one thread, so anything may be called.
SysResult<void> prepare(const CriuSurroundings& surroundings, int socket, int report) {
  // Of the caller's group, it would get the terminal's interrupts.
  if (::setpgid(0, 0) != 0) return sys_fail("setpgid");
  if (surroundings.new_session_keyring &&
      ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS)
    return sys_fail("keyctl(KEYCTL_JOIN_SESSION_KEYRING)");
  TRY(enter_own_mounts(surroundings, report));
  TRY_ASSIGN(const Fd null, open_at(AT_FDCWD, "/dev/null", O_RDWR));
  for (int standard = 0; standard < 3; ++standard)
    if (::dup2(null.get(), standard) < 0) return sys_fail("dup2");
  if (::syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC, Linux 5.11 */) != 0 &&
      errno != EINVAL && errno != ENOSYS)
    return sys_fail("close_range");
  if (::fcntl(socket, F_SETFD, 0) != 0) return sys_fail("fcntl(F_SETFD)");
  for (const int descriptor : surroundings.descriptors)
    if (::fcntl(descriptor, F_SETFD, 0) != 0) return sys_fail("fcntl(F_SETFD)");
  struct sigaction fresh{};
  fresh.sa_handler = SIG_DFL;
  (void)::sigaction(SIGPIPE, &fresh, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return sys_fail("sigprocmask");
  if (surroundings.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
    return sys_fail("prctl(PR_SET_NO_NEW_PRIVS)");
  return {};
}

struct Ends {
  Fd ours, theirs;
};

Result<Ends> make_socket() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return std::unexpected(Error(SysError{"socketpair", errno}));
  return Ends{Fd(ends[0]), Fd(ends[1])};
}

[[noreturn]] void become_criu(const std::string& program, const CriuSurroundings& surroundings,
                              int socket, int report) {
  std::string number = std::to_string(socket);
  char name[] = "criu";
  char mode[] = "swrk";
  char* const arguments[] = {name, mode, number.data(), nullptr};
  SysError failure;
  if (const auto prepared = prepare(surroundings, socket, report); !prepared) {
    failure = prepared.error();
  } else {
    ::execv(program.c_str(), arguments);
    failure = SysError{"execve", errno, program.c_str()};
  }
  // The texts that it points to are at the same place in the parent.
  (void)write_all(report, &failure, sizeof failure);
  ::_exit(127);
}

// Why a criu that is there cannot be used: in the words of its own check.
Error does_not_work(const std::string& program) {
  char name[] = "criu";
  char mode[] = "check";
  char* const arguments[] = {name, mode, nullptr};
  std::string search = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char* const environment[] = {search.data(), nullptr};
  std::array<char, 2048> output{};
  std::string said;
  if (const auto null = open_at(AT_FDCWD, "/dev/null", O_RDWR)) {
    constexpr int kPatienceMilliseconds = 30'000;
    const auto end = run_hook_process({.path = program.c_str(),
                                       .argv = arguments,
                                       .envp = environment,
                                       .timeout_milliseconds = kPatienceMilliseconds,
                                       .state = null->get()},
                                      output);
    if (end) said = last_errors({output.data(), end->output_size});
  }
  return {ErrorKind::kUnsupported,
          program + " does not work on this host" + (said.empty() ? "" : ": " + said),
          "\"criu check\" says what is missing: another kernel, or a newer version of criu"};
}

}  // namespace

Result<std::string> find_criu() {
  const char* path = std::getenv("PATH");
  if (path == nullptr) path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (const std::string_view directory : split(path, ':')) {
    // What a relative entry leads to depends on where the caller happens to stand.
    if (!directory.starts_with('/')) continue;
    std::string candidate = std::string(directory) + "/criu";
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::unexpected(no_criu());
}

Result<CriuWorker> CriuWorker::execute(const std::string& program,
                                       const CriuSurroundings& surroundings) {
  TRY_ASSIGN(Ends service, make_socket());
  TRY_ASSIGN(Ends report, make_socket());
  const pid_t pid = ::fork();
  if (pid < 0) return std::unexpected(Error(SysError{"fork", errno}));
  if (pid == 0) become_criu(program, surroundings, service.theirs.get(), report.theirs.get());
  report.theirs.reset();
  CriuWorker worker;
  worker.socket_ = std::move(service.ours);
  auto process = PidFd::open(HostPid(pid));
  if (!process) {
    (void)::kill(pid, SIGKILL);
    (void)::waitpid(pid, nullptr, 0);
    return std::unexpected(Error(process.error()).within("starting CRIU"));
  }
  worker.process_ = *std::move(process);
  for (;;) {
    TRY_ASSIGN(Received received, receive(report.ours.get()));
    if (received.bytes.empty()) return worker;
    if (received.descriptor) {
      (received.bytes == kImages ? worker.images_ : worker.work_) = std::move(received.descriptor);
      continue;
    }
    SysError failure;
    if (received.bytes.size() == sizeof failure)
      std::memcpy(&failure, received.bytes.data(), sizeof failure);
    return std::unexpected(Error(failure).within("starting CRIU"));
  }
}

Result<CriuWorker> CriuWorker::start(const CriuSurroundings& surroundings) {
  TRY_ASSIGN(const std::string program, find_criu());
  TRY_ASSIGN(CriuWorker worker, execute(program, surroundings));
  const auto answer =
      worker.exchange(encode_criu_request(CriuCall::kVersion, nullptr, true), nullptr);
  if (!answer || !answer->success) return std::unexpected(does_not_work(program));
  if (answer->version < kOldestVersion)
    return fail(ErrorKind::kUnsupported,
                program + " is version " + std::to_string(answer->version / 10000) + "." +
                    std::to_string(answer->version / 100 % 100) + ", which is too old",
                "install version 3.16 or a newer one");
  return worker;
}

CriuWorker::~CriuWorker() {
  if (!process_) return;
  // With nobody on the other side, it gives up at the next stage and undoes what it has begun.
  socket_.reset();
  constexpr int kPatienceMilliseconds = 10'000;
  struct pollfd item{process_.get(), POLLIN, 0};
  while (::poll(&item, 1, kPatienceMilliseconds) < 0 && errno == EINTR) continue;
  if (item.revents == 0) (void)process_.send_signal(SIGKILL);
  (void)process_.wait();
}

Result<void> CriuWorker::send(const std::string& message) const {
  while (::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"send", errno}).within("CRIU"));
  return {};
}

Result<CriuAnswer> CriuWorker::exchange(const std::string& request, CriuStages* stages) const {
  TRY(send(request));
  Result<void> so_far;
  for (;;) {
    // After a failure of ours it should give up, but late in a restore it may not.
    if (!so_far && !has_message(socket_.get())) {
      (void)process_.send_signal(SIGKILL);
      return std::unexpected(std::move(so_far).error());
    }
    TRY_ASSIGN(Received received, receive(socket_.get()));
    if (received.bytes.empty()) {
      TRY(so_far);
      return fail(ErrorKind::kState, "CRIU ended without an answer");
    }
    TRY_ASSIGN(CriuAnswer answer, decode_criu_answer(received.bytes));
    if (answer.call != CriuCall::kNotify) {
      TRY(so_far);
      return answer;
    }
    if (so_far && stages != nullptr)
      so_far = stages->reached(answer.script, HostPid(answer.pid), std::move(received.descriptor));
    if (auto sent = send(encode_criu_go_on(so_far.has_value())); !sent && so_far)
      so_far = std::move(sent);
  }
}

Result<bool> CriuWorker::tracks_memory() const {
  TRY_ASSIGN(const CriuAnswer answer, exchange(encode_criu_memory_tracking_query(), nullptr));
  return answer.success && answer.tracks_memory;
}

Result<CriuAnswer> CriuWorker::ask(CriuCall call, const CriuOptions& options,
                                   CriuStages& stages) const {
  return exchange(encode_criu_request(call, &options, false), &stages);
}

}  // namespace bulkhead::runtime
