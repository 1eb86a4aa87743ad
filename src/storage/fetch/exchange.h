// One request of the overseer, through redirects and authentication to its final answer.
//
// Credentials, the client certificate and tokens go to the registry itself (same scheme, host and
// port), the password also to the token server that it names, and to nobody else.
#pragma once

#include <string>
#include <string_view>

#include "storage/fetch/transport.h"
#include "storage/registry/challenge.h"
#include "storage/registry/message.h"

namespace bulkhead::storage {

// What the exchange tells while it goes on.
class ExchangeSink {
 public:
  virtual ~ExchangeSink() = default;
  // Before the body. False: nobody listens any more.
  virtual bool head(const FetchHead& head) = 0;
  // Of a request's own body, now and then.
  virtual void sent(std::uint64_t bytes) = 0;
  // False: nobody reads any more.
  virtual bool body(std::string_view bytes) = 0;
};

class Exchange {
 public:
  Exchange(const FetcherSetup& setup, Url origin, Transport& transport)
      : setup_(setup), origin_(std::move(origin)), transport_(transport) {}

  FetchResult run(const FetchRequest& request, int body, ExchangeSink& sink);

 private:
  struct Attempt;
  std::expected<HttpAnswer, FetchResult> ask(const FetchRequest& request, const Url& url, int body,
                                             ExchangeSink& sink);
  std::expected<void, FetchResult> authorize(const FetchRequest& request,
                                             std::string_view challenges);
  std::expected<std::string, FetchResult> fetch_token(const FetchRequest& request,
                                                      const Challenge& challenge);
  std::expected<Url, FetchResult> redirect(const FetchRequest& request, const HttpAnswer& answer,
                                           const Url& from);
  FetchHead head_of(const FetchRequest& request, const HttpAnswer& answer, const Url& url);

  const FetcherSetup& setup_;
  Url origin_;
  Transport& transport_;

  std::string authorization_;  // the header's value
  std::string new_bearer_;     // given during this request
  bool basic_ = false;         // the registry wants basic authentication
  bool head_sent_ = false;
  std::uint64_t passed_on_ = 0;
  std::string said_;  // the body of an error
};

// "DENIED: requested access to the resource is denied; ...": what the distribution specification has
// registries say. Empty when the text is something else.
std::string registry_message(std::string_view body);

// The token in a token server's answer; kInvalid when there is none that can be a header's value.
Result<std::string> token_in(std::string_view body);

}  // namespace bulkhead::storage
