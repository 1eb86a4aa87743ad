#include "storage/fetch/dialer.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "base/text.h"
#include "storage/fetch/address_scope.h"
#include "storage/registry/message.h"
#include "storage/registry/packet.h"

namespace bulkhead::storage {
namespace {

using Clock = std::chrono::steady_clock;

// RFC 8305: how long one address may keep us waiting before the next one is tried beside it.
constexpr std::chrono::milliseconds kNextAttempt{250};
constexpr std::chrono::seconds kWholeTime{30};

struct FreeAddresses {
  void operator()(struct addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<struct addrinfo, FreeAddresses>;

struct Dialed {
  Fd socket;
  DialAnswer answer;
};

Dialed refuse(DialEnd end, std::string text) { return {Fd(), {end, std::move(text)}}; }

// The families in turn, so that a broken one costs one step and not all of its addresses.
std::vector<const struct addrinfo*> interleave(const struct addrinfo* list) {
  std::vector<const struct addrinfo*> first;
  std::vector<const struct addrinfo*> second;
  for (const struct addrinfo* at = list; at != nullptr; at = at->ai_next)
    (at->ai_family == list->ai_family ? first : second).push_back(at);
  std::vector<const struct addrinfo*> all;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) all.push_back(first[i]);
    if (i < second.size()) all.push_back(second[i]);
  }
  return all;
}

struct Attempts {
  std::vector<Fd> sockets;
  std::vector<AddressScope> scopes;
  int last_error = EHOSTUNREACH;

  void start(const struct addrinfo& address) {
    Fd socket(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
      last_error = errno;
      return;
    }
    if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0 && errno != EINPROGRESS) {
      last_error = errno;
      return;
    }
    sockets.push_back(std::move(socket));
    scopes.push_back(scope_of(*address.ai_addr));
  }

  // The index of one that is connected; nothing when the time is over. Failed ones are dropped.
  std::optional<std::size_t> wait(std::chrono::milliseconds time) {
    std::vector<struct pollfd> entries;
    for (const Fd& socket : sockets) entries.push_back({socket.get(), POLLOUT, 0});
    if (::poll(entries.data(), entries.size(), static_cast<int>(time.count())) <= 0)
      return std::nullopt;
    for (std::size_t i = entries.size(); i > 0; --i) {
      if (entries[i - 1].revents == 0) continue;
      int error = 0;
      socklen_t size = sizeof error;
      if (::getsockopt(sockets[i - 1].get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
      if (error == 0) return i - 1;
      last_error = error;
      sockets.erase(sockets.begin() + static_cast<std::ptrdiff_t>(i - 1));
      scopes.erase(scopes.begin() + static_cast<std::ptrdiff_t>(i - 1));
    }
    return std::nullopt;
  }
};

class Dialer {
 public:
  explicit Dialer(DialerSetup setup) : setup_(std::move(setup)) {}

  Dialed dial(const DialRequest& request) {
    const std::string place = request.host + ":" + std::to_string(request.port);
    const bool trusted = std::ranges::find(setup_.trusted, place) != setup_.trusted.end();
    struct addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
    std::string host = request.host;
    if (host.starts_with('[') && host.ends_with(']')) {
      host = host.substr(1, host.size() - 2);
      hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    }
    struct addrinfo* found = nullptr;
    int error = ::getaddrinfo(host.c_str(), std::to_string(request.port).c_str(), &hints, &found);
    if (error == EAI_NONAME || error == EAI_ADDRFAMILY) {
      // AI_ADDRCONFIG hides loopback addresses on a host without a network.
      hints.ai_flags &= ~AI_ADDRCONFIG;
      error = ::getaddrinfo(host.c_str(), std::to_string(request.port).c_str(), &hints, &found);
    }
    if (error != 0)
      // Of these, no second question would get another answer; EAI_AGAIN is for those that might.
      return refuse(
          error == EAI_NONAME || error == EAI_FAIL ? DialEnd::kUnknownHost : DialEnd::kUnreachable,
          "looking up " + quoted(request.host) + ": " + ::gai_strerror(error));
    const Addresses owner(found);
    std::vector<const struct addrinfo*> addresses = interleave(found);
    if (!trusted) {
      std::erase_if(addresses, [&](const struct addrinfo* address) {
        return scope_of(*address->ai_addr) < least_scope_;
      });
      if (addresses.empty())
        return refuse(DialEnd::kForbidden,
                      "the registry sent us to " + quoted(place) +
                          ", which is an address of this host or of a private network");
    }
    return connect(addresses, place, trusted);
  }

 private:
  Dialed connect(const std::vector<const struct addrinfo*>& addresses, const std::string& place,
                 bool trusted) {
    const Clock::time_point end = Clock::now() + kWholeTime;
    Attempts attempts;
    std::size_t next = 0;
    while (Clock::now() < end && (next < addresses.size() || !attempts.sockets.empty())) {
      if (next < addresses.size()) attempts.start(*addresses[next++]);
      if (attempts.sockets.empty()) continue;
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
      const auto time = next < addresses.size() ? std::min(kNextAttempt, left) : left;
      if (const auto connected = attempts.wait(std::max(time, std::chrono::milliseconds(1)))) {
        if (trusted) least_scope_ = std::min(least_scope_, attempts.scopes[*connected]);
        Fd socket = std::move(attempts.sockets[*connected]);
        const int on = 1;
        (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        return {std::move(socket), {}};
      }
    }
    const int error = Clock::now() >= end ? ETIMEDOUT : attempts.last_error;
    return refuse(DialEnd::kUnreachable,
                  "connecting to " + quoted(place) + ": " + errno_text(error));
  }

  DialerSetup setup_;
  // Until the registry itself was connected to, nobody but those that the user named is reached.
  AddressScope least_scope_ = AddressScope::kInternet;
};

}  // namespace

Result<void> serve_dialer(int overseer, int fetcher) {
  TRY_ASSIGN(const Packet first, receive_packet(overseer, 0));
  TRY_ASSIGN(DialerSetup setup, decode_dialer_setup(first.message));
  Dialer dialer(std::move(setup));
  for (;;) {
    const auto packet = receive_packet(fetcher, 0);
    if (!packet) return {};  // it is gone, or speaks nonsense: either way there is nobody to serve
    TRY_ASSIGN(const DialRequest request, decode_dial_request(packet->message));
    const Dialed dialed = dialer.dial(request);
    const int descriptor = dialed.socket.get();
    const std::span<const int> descriptors(&descriptor, dialed.socket ? 1 : 0);
    TRY(send_packet(fetcher, encode(dialed.answer), descriptors));
  }
}

}  // namespace bulkhead::storage
