#include "storage/registry/transfer_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <utility>

#include "storage/registry/message.h"
#include "storage/registry/packet.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostReport = 64 * 1024;
constexpr std::uint64_t kErrorKinds = static_cast<std::uint64_t>(ErrorKind::kInternal) + 1;

std::string encode_error(const Error& error) {
  MessageWriter out;
  out.number(static_cast<std::uint64_t>(error.kind()));
  out.text(error.message().substr(0, kMostReport / 4));
  out.text(error.hint().substr(0, kMostReport / 4));
  return out.take();
}

std::optional<Error> decode_error(std::string_view text) {
  MessageReader in(text);
  const auto kind = static_cast<ErrorKind>(in.choice(kErrorKinds));
  const std::string message = in.text(kMostReport);
  const std::string hint = in.text(kMostReport);
  if (!in.finished()) return std::nullopt;
  return Error(kind, message, hint);
}

// Another download's end of a pipe would keep that from ever ending.
bool close_all_but(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned first = 3;
  for (const int number : kept) {
    const auto unsigned_number = static_cast<unsigned>(number);
    if (unsigned_number > first && ::close_range(first, unsigned_number - 1, 0) != 0) return false;
    first = std::max(first, unsigned_number + 1);
  }
  return ::close_range(first, ~0U, 0) == 0;
}

}  // namespace

Result<SharedTransfers> SharedTransfers::make(std::size_t count) {
  SharedTransfers shared;
  shared.size_ = std::max<std::size_t>(1, count) * sizeof(SharedTransfer);
  void* const memory =
      ::mmap(nullptr, shared.size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return std::unexpected(Error(SysError{"mmap", errno}));
  // Zero bytes are counters of zero.
  shared.first_ = static_cast<SharedTransfer*>(memory);
  return shared;
}

SharedTransfers::SharedTransfers(SharedTransfers&& other) noexcept
    : first_(std::exchange(other.first_, nullptr)), size_(other.size_) {}

SharedTransfers::~SharedTransfers() {
  if (first_ != nullptr) (void)::munmap(first_, size_);
}

Result<TransferProcess> TransferProcess::start(
    std::vector<int> descriptors, SharedTransfer& shared,
    const std::function<Result<std::uint32_t>(SharedTransfer&)>& work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  TransferProcess process;
  process.report_ = Fd(ends[0]);
  const Fd report(ends[1]);
  const pid_t parent = ::getpid();
  process.pid_ = ::fork();
  if (process.pid_ < 0) return std::unexpected(Error(SysError{"fork", errno}));
  if (process.pid_ != 0) return process;

  descriptors.push_back(report.get());
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent ||
      !close_all_but(std::move(descriptors)))
    ::_exit(1);
  // In a block of its own: fetchers are ended before the process is.
  int code = 0;
  {
    const auto outcome = work(shared);
    if (outcome) {
      shared.outcome = *outcome;
    } else {
      const std::string text = encode_error(outcome.error());
      (void)write_all(report.get(), text.data(), text.size());
      code = 1;
    }
  }
  ::_exit(code);
}

TransferProcess::TransferProcess(TransferProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), report_(std::move(other.report_)) {}

TransferProcess::~TransferProcess() {
  if (pid_ > 0) (void)end(0);
}

std::optional<Error> TransferProcess::end(int milliseconds) {
  if (pid_ <= 0) return std::nullopt;
  struct pollfd entry{report_.get(), POLLIN, 0};
  const bool ended = ::poll(&entry, 1, milliseconds) > 0;
  if (!ended) (void)::kill(pid_, SIGKILL);
  const auto text = read_fd(report_.get(), kMostReport);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (text)
    if (auto error = decode_error(*text)) return error;
  if (!ended || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return std::nullopt;
  return Error(ErrorKind::kSystem, "the process that moves a blob ended unexpectedly",
               "memory may be short");
}

RegistryClient client_for(const RegistryClient& parent, SharedTransfer& shared) {
  RegistryClient client = parent.sibling();
  client.tell_by([&shared](const std::string&, std::chrono::milliseconds wait) {
    shared.retry_wait_ms = static_cast<std::uint32_t>(wait.count());
    ++shared.retries;
  });
  return client;
}

}  // namespace bulkhead::storage
