// A fetcher and its dialer, as the overseer sees them: two processes of this same program that are
// locked in, of which everything that they say is checked.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>

#include "base/result.h"
#include "storage/registry/endpoint.h"
#include "storage/registry/message.h"
#include "sys/fd.h"

namespace bulkhead::storage {

// The words by which this program becomes one of them.
inline constexpr const char* kFetcherVerb = "fetcher";
inline constexpr const char* kDialerVerb = "dialer";
// What they find open beside /dev/null as 0, 1 and 2.
inline constexpr int kOverseerSocket = 3;
inline constexpr int kPeerSocket = 4;

struct FetchAnswer {
  FetchHead head;  // status 0: none came
  FetchResult result;
  std::string body;

  bool succeeded() const {
    return result.end == FetchEnd::kDone && head.status >= 200 && head.status < 300;
  }
  bool has_status(std::uint64_t status) const {
    return result.end == FetchEnd::kDone && head.status == status;
  }
  bool is_transient() const;  // worth another attempt
};

// Tokens by the scope that they were given for. One fetcher's are good for the next.
using Bearers = std::map<std::string, std::string, std::less<>>;

class FetcherProcess {
 public:
  // The calling process must ignore SIGPIPE.
  static Result<FetcherProcess> start(const Endpoint& endpoint, Bearers bearers = {});
  FetcherProcess(FetcherProcess&& other) noexcept;
  FetcherProcess& operator=(FetcherProcess&& other) noexcept;
  ~FetcherProcess();

  // A GET or HEAD of something small: the body, at most `limit` bytes of it, stands in the answer.
  Result<FetchAnswer> fetch(FetchRequest request, std::size_t limit);
  // A GET whose body goes into `into`, which is not closed.
  Result<FetchAnswer> fetch_into(FetchRequest request, int into);
  // A request with a body: bytes of `file` from request.body_offset on; with no body, any descriptor.
  // `on_sent`: told now and then how many bytes of it are under way; may be empty.
  Result<FetchAnswer> send(FetchRequest request, int file,
                           const std::function<void(std::uint64_t)>& on_sent = {});

  const Bearers& bearers() const { return bearers_; }

 private:
  FetcherProcess() = default;
  Result<void> ask(FetchRequest& request, int descriptor);
  Result<FetchHead> read_head(const FetchRequest& request, FetchAnswer& answer);
  Result<FetchAnswer> read_end(FetchAnswer answer, const FetchRequest& request);
  Error how_it_ended(Error error);
  void end() noexcept;

  Fd socket_;
  pid_t fetcher_ = -1;
  pid_t dialer_ = -1;
  std::string place_;  // for messages
  unsigned stall_seconds_ = 60;
  Bearers bearers_;
};

}  // namespace bulkhead::storage
