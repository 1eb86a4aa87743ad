#include "engine/copy_worker.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <new>

#include "base/text.h"
#include "engine/copy_confinement.h"
#include "engine/copy_service.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr int kSocket = 0;
constexpr int kData = 1;

// The numbers above, and the socket as the standard error, too, so that no file gets its number.
bool arrange(int socket, int data) {
  Fd own_socket(::fcntl(socket, F_DUPFD_CLOEXEC, 16));
  Fd own_data(::fcntl(data, F_DUPFD_CLOEXEC, 16));
  return own_socket && own_data && ::dup2(own_socket.get(), kSocket) == kSocket &&
         ::dup2(own_data.get(), kData) == kData &&
         ::dup2(own_socket.get(), STDERR_FILENO) == STDERR_FILENO;
}

Result<void> lock_in(const CopyWorker::Enter& enter, int socket, int data) {
  TRY_ASSIGN(CopyConfinement confinement, CopyConfinement::prepare());
  // Nobody in there takes hold of us while we still have what is the host's.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return std::unexpected(Error(SysError{"prctl(PR_SET_DUMPABLE)", errno}));
  const pid_t parent = ::getppid();
  TRY(enter());
  // The change of identity has cleared it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || ::getppid() != parent)
    return std::unexpected(Error(SysError{"prctl(PR_SET_PDEATHSIG)", errno}));
  if (!arrange(socket, data)) return std::unexpected(Error(SysError{"dup2", errno}));
  return std::move(confinement).enter(3);
}

[[noreturn]] void work(const CopyWorker::Enter& enter, int socket, int data,
                       std::atomic<std::uint64_t>* counter) {
  // Whoever reads the files may go first: that is an error of a write.
  (void)::signal(SIGPIPE, SIG_IGN);
  (void)::umask(0);
  const auto locked = lock_in(enter, socket, data);
  CopyService service(
      kData, [counter](std::uint64_t bytes) { counter->store(bytes, std::memory_order_relaxed); });
  if (!locked) {
    const CopyAnswer answer = answer_of(locked.error());
    const std::string packet = encode(answer);
    // Before or after the descriptors were arranged.
    if (::send(socket, packet.data(), packet.size(), MSG_NOSIGNAL) < 0)
      (void)::send(kSocket, packet.data(), packet.size(), MSG_NOSIGNAL);
    ::_exit(1);
  }
  service.serve(kSocket);
  ::_exit(0);
}

}  // namespace

Result<SharedCounter> SharedCounter::make() {
  void* const page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return std::unexpected(Error(SysError{"mmap", errno}));
  return SharedCounter(new (page) std::atomic<std::uint64_t>(0));
}

SharedCounter::~SharedCounter() {
  if (value_ != nullptr) (void)::munmap(value_, 4096);
}

Result<CopyWorker> CopyWorker::start(const Enter& enter, Fd data, const SharedCounter& counter) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return std::unexpected(Error(SysError{"socketpair", errno}));
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return std::unexpected(Error(SysError{"fork", errno}));
  if (pid == 0) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || ::getppid() != parent) ::_exit(1);
    ours.reset();
    work(enter, theirs.get(), data.get(), counter.get());
  }
  return CopyWorker(pid, std::move(ours));
}

CopyWorker::~CopyWorker() {
  if (pid_ <= 0) return;
  // It ends when nobody asks any more; and if it does not, there is nothing that it should finish.
  socket_.reset();
  (void)::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
}

Result<void> CopyWorker::begin(const CopyRequest& request) {
  if (request.path.size() > 4095 || request.name.size() > 4095)
    return fail(ErrorKind::kUsage, "a path of more than 4095 bytes");
  const std::string packet = encode(request);
  if (::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL) >= 0) return {};
  // Why it has ended stands in its answer.
  if (errno == EPIPE || errno == ECONNRESET) return {};
  return std::unexpected(Error(SysError{"send", errno}));
}

Result<CopyAnswer> CopyWorker::finish() {
  std::string packet(kMostCopyPacket + 1, '\0');
  for (;;) {
    const ssize_t size = ::recv(socket_.get(), packet.data(), packet.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno != ECONNRESET) return std::unexpected(Error(SysError{"recv", errno}));
    if (size <= 0) break;
    return decode_copy_answer(std::string_view(packet).substr(0, static_cast<std::size_t>(size)));
  }
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"waitpid", errno}));
  pid_ = -1;
  std::string how = "ended without a word";
  if (WIFSIGNALED(status)) {
    how = "was killed by signal " + std::to_string(WTERMSIG(status));
    if (WTERMSIG(status) == SIGSYS) how += ": it tried what it has no business with";
  }
  return fail(ErrorKind::kSystem, "the process that copies " + how);
}

Result<CopyAnswer> CopyWorker::ask(const CopyRequest& request) {
  TRY(begin(request));
  return finish();
}

}  // namespace bulkhead::engine
