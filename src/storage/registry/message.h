// The words between the overseer of a pull or push and the confined processes that speak to the
// network. Each message is one packet of a SOCK_SEQPACKET pair; descriptors go with it. Either side
// checks what it reads: a fetcher may have been taken over by the registry that it talks to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::storage {

// Numbers and texts in a fixed order, which both sides know.
class MessageWriter {
 public:
  void number(std::uint64_t value);
  void text(std::string_view value);
  void texts(const std::vector<std::string>& values);
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

class MessageReader {
 public:
  explicit MessageReader(std::string_view message) : rest_(message) {}

  std::uint64_t number();
  // For an enumeration of `count` values; anything else spoils the message.
  std::uint64_t choice(std::uint64_t count);
  std::string text(std::size_t limit);
  // Printable ASCII only: what becomes part of a header or a URL.
  std::string token(std::size_t limit);
  std::vector<std::string> tokens(std::size_t limit);
  // Whether everything was there and nothing is left over.
  bool finished() const { return whole_ && rest_.empty(); }

 private:
  std::string_view take(std::size_t size);
  std::string_view rest_;
  bool whole_ = true;
};

inline constexpr std::size_t kLongestMessage = 64 * 1024;
inline constexpr std::size_t kLongestUrl = 8 * 1024;
inline constexpr std::size_t kLongestToken = 16 * 1024;  // of a bearer
inline constexpr std::size_t kLongestSecret = 16 * 1024;

// --- overseer to fetcher -------------------------------------------------------------------------

// The first message: what the fetcher knows of the world. With it come the descriptors of the
// certificates, in the order of the fields.
struct FetcherSetup {
  std::string origin;  // "https://registry.example:5000": where all requests begin
  std::string user_agent;
  std::string user;            // of basic authentication; empty for none
  std::string password;        // likewise
  std::string identity_token;  // in place of the password
  std::string proxy;           // "http://proxy.example:3128"; empty for none
  std::vector<std::string> proxy_exceptions;
  enum class Verify { kPeer, kNothing } verify = Verify::kPeer;
  bool has_system_authorities = false;  // a descriptor with PEM certificates comes along
  bool has_own_authorities = false;     // likewise: those of this registry
  bool has_client_certificate = false;
  bool has_client_key = false;

  std::size_t descriptors() const {
    return std::size_t{has_system_authorities} + std::size_t{has_own_authorities} +
           std::size_t{has_client_certificate} + std::size_t{has_client_key};
  }
};

enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete };
std::string_view name_of(Method method);

// One request. With it comes one descriptor: where the body of a GET is written to, or where the body
// of a POST, PUT or PATCH is read from.
struct FetchRequest {
  Method method = Method::kGet;
  std::string target;               // a path of the origin, or an URL that an upload was given
  std::vector<std::string> accept;  // media types
  std::string scope;                // "repository:library/busybox:pull", for the token
  std::string bearer;               // a token that was given for this scope before
  std::string content_type;         // of the body
  std::uint64_t body_offset = 0;    // where it begins in the descriptor's file
  std::uint64_t body_size = 0;
  std::string content_range;        // of a chunk: "0-1023"
  std::uint64_t first_byte = 0;     // of the answer that is wanted
  std::uint64_t most_bytes = 0;     // that are taken of the answer's body
  std::uint64_t stall_seconds = 0;  // without any byte, after which the connection counts as broken
};

// --- fetcher to overseer -------------------------------------------------------------------------

inline constexpr std::uint64_t kUnknownSize = ~std::uint64_t{0};

// The final answer's head; comes before any byte of the body.
struct FetchHead {
  std::uint64_t status = 0;
  std::uint64_t first_byte = 0;              // where in the blob the body begins
  std::uint64_t size = kUnknownSize;         // of the body
  std::uint64_t retry_after = kUnknownSize;  // seconds
  std::string content_type;
  std::string digest;             // Docker-Content-Digest
  std::string location;           // absolute
  std::string range;              // "0-1023": what an upload has of the blob
  std::string next;               // the target of the next page
  std::uint64_t least_chunk = 0;  // bytes
  std::string bearer;             // a token that was given during this request
};

// During the upload of a body.
struct FetchProgress {
  std::uint64_t sent = 0;  // bytes
};

enum class FetchEnd : std::uint8_t {
  kDone,          // the answer came whole, whatever its status
  kInterrupted,   // the connection failed, broke or stalled: worth another attempt
  kUntrusted,     // TLS: the certificate
  kNotTls,        // TLS: the handshake failed; perhaps the other side speaks plain HTTP
  kRefused,       // what the registry wanted is not done: a redirect, an address, a size
  kUnauthorized,  // no token, or the credentials are wrong
  kUnknownHost,   // nobody knows an address of it, and will not know one in a moment
};

struct FetchResult {
  FetchEnd end = FetchEnd::kDone;
  std::uint64_t body_bytes = 0;  // delivered
  std::string text;              // what went wrong, or what the registry said of it
};

std::string encode(const FetcherSetup& setup);
std::string encode(const FetchRequest& request);
std::string encode(const FetchHead& head);
std::string encode(const FetchResult& result);
std::string encode(const FetchProgress& progress);
Result<FetcherSetup> decode_setup(std::string_view message);
Result<FetchRequest> decode_request(std::string_view message);
Result<FetchHead> decode_head(std::string_view message);
Result<FetchResult> decode_result(std::string_view message);
Result<FetchProgress> decode_progress(std::string_view message);

// --- fetcher to dialer -----------------------------------------------------------------------------

// Where the dialer may connect to without asking what the address is: the registry, its mirrors and
// proxies, as the user named them.
struct DialerSetup {
  std::vector<std::string> trusted;  // "host:port"
};

struct DialRequest {
  std::string host;
  std::uint64_t port = 0;
};

// With kConnected comes the connected socket.
enum class DialEnd : std::uint8_t { kConnected, kUnreachable, kForbidden, kUnknownHost };
struct DialAnswer {
  DialEnd end = DialEnd::kConnected;
  std::string text;
};

std::string encode(const DialerSetup& setup);
std::string encode(const DialRequest& request);
std::string encode(const DialAnswer& answer);
Result<DialerSetup> decode_dialer_setup(std::string_view message);
Result<DialRequest> decode_dial_request(std::string_view message);
Result<DialAnswer> decode_dial_answer(std::string_view message);

}  // namespace bulkhead::storage
