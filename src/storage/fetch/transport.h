// One HTTP request and its one answer: no redirects, no authentication, no second attempt. The only
// includer of libcurl beside url.cc. Sockets come from the dialer, certificates from the setup.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/fetch/url.h"
#include "storage/registry/message.h"
#include "sys/fd.h"

namespace bulkhead::storage {

// What TLS needs, as PEM.
struct TlsMaterial {
  std::vector<std::string> authorities;
  std::string client_certificate;
  std::string client_key;  // may stand in client_certificate, too
};

struct HttpRequest {
  Method method = Method::kGet;
  Url url;
  std::vector<std::string> headers;  // "Name: value"
  // Where the body is read from; -1: none, or `body`.
  int body_file = -1;
  std::uint64_t body_offset = 0;
  std::uint64_t body_size = 0;
  std::string body;                                 // a short one
  std::function<void(std::uint64_t sent)> on_sent;  // now and then; may be empty
  bool to_origin = false;                           // may be shown our client certificate
  std::uint64_t stall_seconds = 60;
};

struct HttpAnswer {
  std::uint64_t status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::uint64_t retry_after = kUnknownSize;
  // The value, or empty; of several the last.
  std::string_view header(std::string_view name) const;
};

// Takes a part of the body; false ends the transfer. The status and all headers are known by then.
using BodySink = std::function<bool(const HttpAnswer& answer, std::string_view bytes)>;

struct TransportFailure {
  FetchEnd end = FetchEnd::kInterrupted;
  std::string text;
};

class Transport {
 public:
  // `dialer`: the socket to serve_dialer().
  Transport(const FetcherSetup& setup, TlsMaterial material, int dialer);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Before the lock-in: whatever the libraries read from files.
  static Result<void> prepare();

  // kRefused with an empty text when the sink ended it.
  std::expected<HttpAnswer, TransportFailure> perform(const HttpRequest& request,
                                                      const BodySink& sink);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::storage
