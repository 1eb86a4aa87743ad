// URLs as the fetcher needs them: where to connect to, whether two lead to the same server, and what
// a relative one means. Parsed by libcurl, which will also request them, so that both agree.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace bulkhead::storage {

struct Url {
  std::string text;    // absolute, normalised, without a fragment
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; of IPv6 with brackets
  std::uint16_t port = 0;

  bool is_tls() const { return scheme == "https"; }
  bool same_server(const Url& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
  std::string place() const { return host + ":" + std::to_string(port); }
};

// Only http and https, without user and password, of printable ASCII.
Result<Url> parse_url(const std::string& text);
// As the browser's rules have it: `reference` may be absolute or relative to `base`.
Result<Url> resolve_url(const Url& base, const std::string& reference);
// "/v2/x?y=z": what of it the server is asked for.
Result<std::string> target_of(const Url& url);
// With the query parameters name=value, encoded, behind those that it has.
Result<Url> with_query(const Url& url, const std::string& name, const std::string& value);

}  // namespace bulkhead::storage
