#include "storage/registry/fetcher_process.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <utility>

#include "base/text.h"
#include "storage/registry/packet.h"
#include "storage/registry/retry.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

// Beyond what the fetcher itself allows for a stall: then it is the fetcher that hangs.
constexpr int kPatienceSeconds = 90;
constexpr int kEndTries = 100;

constexpr const char* kSystemAuthorities[] = {
    "/etc/ssl/certs/ca-certificates.crt",  // Debian, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",    // Fedora
    "/etc/ssl/ca-bundle.pem",              // openSUSE
    "/etc/ssl/cert.pem",                   // Alpine
};

Result<pid_t> spawn(const char* verb, int overseer, int peer) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
  // What it would write to a terminal could steer it.
  ::posix_spawn_file_actions_adddup2(&actions, 0, 1);
  ::posix_spawn_file_actions_adddup2(&actions, 0, 2);
  ::posix_spawn_file_actions_adddup2(&actions, overseer, kOverseerSocket);
  ::posix_spawn_file_actions_adddup2(&actions, peer, kPeerSocket);
  char name[] = "bulkhead-registry";
  std::string word = verb;
  char* const argv[] = {name, word.data(), nullptr};
  char* const environment[] = {nullptr};
  pid_t child = -1;
  const int error = ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv, environment);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return std::unexpected(Error(SysError{"posix_spawn", error, verb}));
  return child;
}

// Descriptors whose numbers do not collide with those that the new process gets.
Result<Fd> out_of_the_way(Fd descriptor) {
  Fd moved(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 16));
  if (!moved) return std::unexpected(Error(SysError{"fcntl(F_DUPFD_CLOEXEC)", errno}));
  return moved;
}

Result<Fd> open_system_authorities() {
  if (const char* const file = std::getenv("SSL_CERT_FILE"); file != nullptr && *file != '\0') {
    TRY_ASSIGN(Fd opened, open_at(AT_FDCWD, file, O_RDONLY | O_NOCTTY));
    return opened;
  }
  for (const char* const path : kSystemAuthorities)
    if (auto opened = open_at(AT_FDCWD, path, O_RDONLY | O_NOCTTY)) return *std::move(opened);
  return Fd();
}

Result<void> send_setup(int socket, const Endpoint& endpoint) {
  FetcherSetup setup = setup_for(endpoint);
  std::vector<Fd> owners;
  const auto add = [&](const std::string& path, bool& has) -> Result<void> {
    if (path.empty()) return {};
    auto opened = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_NOCTTY);
    if (!opened)
      return std::unexpected(
          Error(opened.error()).within("the settings of registry " + quoted(endpoint.registry)));
    owners.push_back(*std::move(opened));
    has = true;
    return {};
  };
  // Also for a registry of plain HTTP: its token server need not be one.
  TRY_ASSIGN(Fd system, open_system_authorities());
  if (system) {
    owners.push_back(std::move(system));
    setup.has_system_authorities = true;
  }
  TRY(add(endpoint.settings.authorities, setup.has_own_authorities));
  TRY(add(endpoint.settings.client_certificate, setup.has_client_certificate));
  TRY(add(endpoint.settings.client_key, setup.has_client_key));
  std::vector<int> descriptors;
  for (const Fd& owner : owners) descriptors.push_back(owner.get());
  return send_packet(socket, encode(setup), descriptors);
}

void reap(pid_t& pid) noexcept {
  if (pid <= 0) return;
  (void)::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid = -1;
}

// Up to `limit` bytes, waiting at most so long for each.
Result<std::string> read_body(int pipe, std::size_t limit, int milliseconds) {
  std::string text;
  char buffer[16 * 1024];
  for (;;) {
    struct pollfd entry{pipe, POLLIN, 0};
    const int ready = ::poll(&entry, 1, milliseconds);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return std::unexpected(Error(SysError{"poll", errno}));
    if (ready == 0) return fail(ErrorKind::kState, "nothing came any more");
    const ssize_t count = ::read(pipe, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(Error(SysError{"read", errno}));
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > limit) return fail(ErrorKind::kInvalid, "more came than was asked for");
  }
}

}  // namespace

bool FetchAnswer::is_transient() const {
  return result.end == FetchEnd::kInterrupted ||
         (result.end == FetchEnd::kDone && is_transient_status(head.status));
}

Result<FetcherProcess> FetcherProcess::start(const Endpoint& endpoint, Bearers bearers) {
  FetcherProcess process;
  process.place_ = endpoint.registry;
  process.stall_seconds_ = endpoint.settings.stall_seconds;
  process.bearers_ = std::move(bearers);
  TRY_ASSIGN(PacketPair control, PacketPair::make());
  TRY_ASSIGN(PacketPair dialing, PacketPair::make());
  TRY_ASSIGN(PacketPair dialer_control, PacketPair::make());
  for (Fd* descriptor : {&control.theirs, &dialing.ours, &dialing.theirs, &dialer_control.theirs}) {
    TRY_ASSIGN(*descriptor, out_of_the_way(std::move(*descriptor)));
  }
  TRY_ASSIGN(process.dialer_,
             spawn(kDialerVerb, dialer_control.theirs.get(), dialing.theirs.get()));
  TRY_ASSIGN(process.fetcher_, spawn(kFetcherVerb, control.theirs.get(), dialing.ours.get()));
  control.theirs.reset();
  TRY(send_packet(dialer_control.ours.get(), encode(dialer_setup_for(endpoint))));
  process.socket_ = std::move(control.ours);
  TRY(send_setup(process.socket_.get(), endpoint));
  return process;
}

FetcherProcess::FetcherProcess(FetcherProcess&& other) noexcept
    : socket_(std::move(other.socket_)),
      fetcher_(std::exchange(other.fetcher_, -1)),
      dialer_(std::exchange(other.dialer_, -1)),
      place_(std::move(other.place_)),
      stall_seconds_(other.stall_seconds_),
      bearers_(std::move(other.bearers_)) {}

FetcherProcess& FetcherProcess::operator=(FetcherProcess&& other) noexcept {
  if (this != &other) {
    end();
    socket_ = std::move(other.socket_);
    fetcher_ = std::exchange(other.fetcher_, -1);
    dialer_ = std::exchange(other.dialer_, -1);
    place_ = std::move(other.place_);
    stall_seconds_ = other.stall_seconds_;
    bearers_ = std::move(other.bearers_);
  }
  return *this;
}

FetcherProcess::~FetcherProcess() { end(); }

void FetcherProcess::end() noexcept {
  socket_.reset();
  reap(fetcher_);
  reap(dialer_);
}

// What became of a fetcher that does not answer as it should. It is not used again.
Error FetcherProcess::how_it_ended(Error error) {
  socket_.reset();
  int status = 0;
  std::string text = error.message();
  // A process that is ending has closed its socket a little before it can be waited for.
  pid_t ended = 0;
  for (int tries = 0; fetcher_ > 0 && ended == 0 && tries < kEndTries; ++tries) {
    ended = ::waitpid(fetcher_, &status, WNOHANG);
    if (ended == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (ended > 0) {
    fetcher_ = -1;
    if (WIFSIGNALED(status))
      text = "the process that speaks to the registry was killed by signal " +
             std::to_string(WTERMSIG(status)) +
             (WTERMSIG(status) == SIGSYS ? ": it tried what it has no business with" : "");
    else
      text =
          "the process that speaks to the registry could not be locked in, or gave up (exit "
          "code " +
          std::to_string(WEXITSTATUS(status)) + ")";
  }
  end();
  return Error(ErrorKind::kState, "registry " + quoted(place_) + ": " + text,
               "the registry is hostile, or this is a bug in Bulkhead");
}

Result<void> FetcherProcess::ask(FetchRequest& request, int descriptor) {
  if (!socket_) return fail(ErrorKind::kState, "registry " + quoted(place_) + ": not connected");
  if (request.stall_seconds == 0) request.stall_seconds = stall_seconds_;
  if (const auto known = bearers_.find(request.scope);
      request.bearer.empty() && known != bearers_.end())
    request.bearer = known->second;
  if (auto sent = send_packet(socket_.get(), encode(request), {{descriptor}}); !sent)
    return std::unexpected(how_it_ended(std::move(sent).error()));
  return {};
}

// Several attempts to connect, and a token, may come before the head.
Result<FetchHead> FetcherProcess::read_head(const FetchRequest& request, FetchAnswer& answer) {
  const int patience = static_cast<int>(request.stall_seconds * 3 + kPatienceSeconds) * 1000;
  auto packet = receive_packet(socket_.get(), 0, patience);
  if (!packet) return std::unexpected(how_it_ended(std::move(packet).error()));
  if (auto head = decode_head(packet->message)) {
    if (!head->bearer.empty()) bearers_.insert_or_assign(request.scope, head->bearer);
    return head;
  }
  // No head: the result says why.
  auto result = decode_result(packet->message);
  if (!result || result->end == FetchEnd::kDone)
    return std::unexpected(
        how_it_ended(Error(ErrorKind::kInvalid, "the fetcher said something that it cannot mean")));
  answer.result = *std::move(result);
  return FetchHead{};
}

Result<FetchAnswer> FetcherProcess::read_end(FetchAnswer answer, const FetchRequest& request) {
  if (answer.head.status == 0) return answer;
  const int patience = static_cast<int>(request.stall_seconds + kPatienceSeconds) * 1000;
  auto packet = receive_packet(socket_.get(), 0, patience);
  if (!packet) return std::unexpected(how_it_ended(std::move(packet).error()));
  auto result = decode_result(packet->message);
  if (!result) return std::unexpected(how_it_ended(std::move(result).error()));
  answer.result = *std::move(result);
  return answer;
}

Result<FetchAnswer> FetcherProcess::fetch(FetchRequest request, std::size_t limit) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  const Fd out(ends[0]);
  Fd in(ends[1]);
  request.most_bytes = limit;
  TRY(ask(request, in.get()));
  in.reset();
  FetchAnswer answer;
  TRY_ASSIGN(answer.head, read_head(request, answer));
  if (answer.head.status != 0) {
    const int patience = static_cast<int>(request.stall_seconds + kPatienceSeconds) * 1000;
    auto body = read_body(out.get(), limit, patience);
    if (!body) return std::unexpected(how_it_ended(std::move(body).error()));
    answer.body = *std::move(body);
  }
  return read_end(std::move(answer), request);
}

Result<FetchAnswer> FetcherProcess::fetch_into(FetchRequest request, int into) {
  TRY(ask(request, into));
  FetchAnswer answer;
  TRY_ASSIGN(answer.head, read_head(request, answer));
  if (answer.head.status == 0) return answer;
  // The body may take as long as its reader likes; stalls are the fetcher's to notice.
  auto packet = receive_packet(socket_.get(), 0);
  if (!packet) return std::unexpected(how_it_ended(std::move(packet).error()));
  auto result = decode_result(packet->message);
  if (!result || result->body_bytes > request.most_bytes)
    return std::unexpected(
        how_it_ended(Error(ErrorKind::kInvalid, "the fetcher said something that it cannot mean")));
  answer.result = *std::move(result);
  return answer;
}

Result<FetchAnswer> FetcherProcess::send(FetchRequest request, int file,
                                         const std::function<void(std::uint64_t)>& on_sent) {
  TRY(ask(request, file));
  FetchAnswer answer;
  for (;;) {
    auto packet = receive_packet(socket_.get(), 0);  // an upload takes its time
    if (!packet) return std::unexpected(how_it_ended(std::move(packet).error()));
    if (const auto progress = decode_progress(packet->message)) {
      if (on_sent) on_sent(std::min(progress->sent, request.body_size));
      continue;
    }
    if (auto head = decode_head(packet->message)) {
      if (!head->bearer.empty()) bearers_.insert_or_assign(request.scope, head->bearer);
      answer.head = *std::move(head);
      return read_end(std::move(answer), request);
    }
    auto result = decode_result(packet->message);
    if (!result || result->end == FetchEnd::kDone)
      return std::unexpected(how_it_ended(
          Error(ErrorKind::kInvalid, "the fetcher said something that it cannot mean")));
    answer.result = *std::move(result);
    return answer;
  }
}

}  // namespace bulkhead::storage
