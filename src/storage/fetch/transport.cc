#include "storage/fetch/transport.h"

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "storage/registry/packet.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostHeaders = 200;
constexpr std::size_t kMostHeaderBytes = 256 * 1024;
constexpr long kConnectSeconds = 60;
constexpr int kDialMilliseconds = 45'000;
constexpr long kBufferBytes = 256 * 1024;

struct FreeStore {
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
};
using CertificateStore = std::unique_ptr<X509_STORE, FreeStore>;

// All certificates of a PEM text; what cannot be read in it is skipped, as OpenSSL's own loader does
// with the system's bundle.
void add_certificates(X509_STORE* store, const std::string& pem) {
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  if (bio == nullptr) return;
  while (X509* const certificate = PEM_read_bio_X509_AUX(bio, nullptr, nullptr, nullptr)) {
    (void)X509_STORE_add_cert(store, certificate);
    X509_free(certificate);
  }
  BIO_free(bio);
  ERR_clear_error();
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool is_excepted(const std::vector<std::string>& exceptions, const Url& url) {
  return std::ranges::any_of(exceptions, [&](const std::string& exception) {
    std::string_view rule = exception;
    if (rule == "*") return true;
    if (const std::size_t colon = rule.rfind(':');
        colon != std::string_view::npos && rule.find(']', colon) == std::string_view::npos &&
        rule.find(':') == colon) {
      if (parse_number<std::uint16_t>(rule.substr(colon + 1)) != url.port) return false;
      rule = rule.substr(0, colon);
    }
    while (rule.starts_with('*') || rule.starts_with('.')) rule.remove_prefix(1);
    if (rule.empty()) return false;
    return url.host == rule || (url.host.size() > rule.size() && url.host.ends_with(rule) &&
                                url.host[url.host.size() - rule.size() - 1] == '.');
  });
}

// "http://user:password@proxy:3128" without what is for libcurl to send.
std::string without_user(std::string url) {
  const std::size_t begin = url.find("://") + 3;
  const std::size_t at = url.substr(0, url.find('/', begin)).rfind('@');
  if (at != std::string::npos && at > begin) url.erase(begin, at + 1 - begin);
  return url;
}

FetchEnd meaning_of(DialEnd end) {
  if (end == DialEnd::kForbidden) return FetchEnd::kRefused;
  return end == DialEnd::kUnknownHost ? FetchEnd::kUnknownHost : FetchEnd::kInterrupted;
}

// `text`: what libcurl says of it, with OpenSSL's reason.
FetchEnd meaning_of(CURLcode code, std::string_view text) {
  const auto says = [&](std::string_view words) {
    return text.find(words) != std::string_view::npos;
  };
  // A server that wants a certificate says so when the handshake is over for us (TLS 1.3).
  if (code == CURLE_RECV_ERROR && says("alert")) return FetchEnd::kUntrusted;
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE: return FetchEnd::kUntrusted;
    case CURLE_SSL_CONNECT_ERROR:
      // What OpenSSL makes of an answer in plain HTTP.
      return says("wrong version number") || says("packet length too long") ? FetchEnd::kNotTls
                                                                            : FetchEnd::kUntrusted;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_OUT_OF_MEMORY: return FetchEnd::kRefused;
    default: return FetchEnd::kInterrupted;
  }
}

}  // namespace

std::string_view HttpAnswer::header(std::string_view name) const {
  for (auto at = headers.rbegin(); at != headers.rend(); ++at)
    if (at->first == name) return at->second;
  return {};
}

class Transport::Impl {
 public:
  Impl(const FetcherSetup& setup, TlsMaterial material, int dialer)
      : setup_(setup), material_(std::move(material)), dialer_(dialer), curl_(curl_easy_init()) {}
  ~Impl() { curl_easy_cleanup(curl_); }

  std::expected<HttpAnswer, TransportFailure> perform(const HttpRequest& request,
                                                      const BodySink& sink);

 private:
  void set_up(const HttpRequest& request);
  void set_up_tls(const HttpRequest& request);
  void set_up_body(const HttpRequest& request);
  bool is_dialed(const std::string& host, std::uint16_t port);
  TransportFailure describe(CURLcode code);
  void forget_lists();

  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* pointer);
  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* pointer);
  static std::size_t on_send(char* data, std::size_t size, std::size_t count, void* pointer);
  static int on_seek(void* pointer, curl_off_t offset, int origin);
  static curl_socket_t on_open(void* pointer, curlsocktype, struct curl_sockaddr*);
  static int on_socket(void*, curl_socket_t, curlsocktype) {
    return CURL_SOCKOPT_ALREADY_CONNECTED;
  }
  static CURLcode on_tls(CURL*, void* context, void* pointer);

  const FetcherSetup& setup_;
  TlsMaterial material_;
  int dialer_;
  CURL* curl_;
  CertificateStore store_;
  char error_[CURL_ERROR_SIZE] = {};
  curl_slist* headers_ = nullptr;
  curl_slist* resolve_ = nullptr;

  // Of the request that is going on.
  const HttpRequest* request_ = nullptr;
  const BodySink* sink_ = nullptr;
  HttpAnswer answer_;
  std::size_t header_bytes_ = 0;
  std::uint64_t sent_ = 0;
  bool ended_by_sink_ = false;
  bool too_many_headers_ = false;
  std::string dial_host_;
  std::uint16_t dial_port_ = 0;
  DialAnswer dialed_;
};

// libcurl keeps no pointer to a list that it is not told to forget.
void Transport::Impl::forget_lists() {
  curl_slist_free_all(std::exchange(headers_, nullptr));
  curl_slist_free_all(std::exchange(resolve_, nullptr));
}

std::size_t Transport::Impl::on_header(char* data, std::size_t, std::size_t size, void* pointer) {
  auto& self = *static_cast<Impl*>(pointer);
  std::string_view line = trim({data, size});
  self.header_bytes_ += size;
  if (self.header_bytes_ > kMostHeaderBytes || self.answer_.headers.size() > kMostHeaders) {
    self.too_many_headers_ = true;
    return 0;
  }
  if (line.starts_with("HTTP/")) {
    self.answer_.headers.clear();  // those before were of a "100 Continue" or of a proxy
    return size;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  self.answer_.headers.emplace_back(lower(trim(line.substr(0, colon))),
                                    trim(line.substr(colon + 1)));
  return size;
}

std::size_t Transport::Impl::on_body(char* data, std::size_t, std::size_t size, void* pointer) {
  auto& self = *static_cast<Impl*>(pointer);
  long status = 0;
  curl_easy_getinfo(self.curl_, CURLINFO_RESPONSE_CODE, &status);
  self.answer_.status = static_cast<std::uint64_t>(status);
  if ((*self.sink_)(self.answer_, {data, size})) return size;
  self.ended_by_sink_ = true;
  return 0;
}

std::size_t Transport::Impl::on_send(char* data, std::size_t size, std::size_t count,
                                     void* pointer) {
  auto& self = *static_cast<Impl*>(pointer);
  const HttpRequest& request = *self.request_;
  const std::size_t wanted = static_cast<std::size_t>(
      std::min<std::uint64_t>(size * count, request.body_size - self.sent_));
  if (request.body_file < 0) {
    std::memcpy(data, request.body.data() + self.sent_, wanted);
    self.sent_ += wanted;
    return wanted;
  }
  ssize_t got = 0;
  do
    got = ::pread(request.body_file, data, wanted,
                  static_cast<off_t>(request.body_offset + self.sent_));
  while (got < 0 && errno == EINTR);
  if (got < 0 || (got == 0 && wanted != 0)) return CURL_READFUNC_ABORT;
  self.sent_ += static_cast<std::uint64_t>(got);
  if (request.on_sent) request.on_sent(self.sent_);
  return static_cast<std::size_t>(got);
}

int Transport::Impl::on_seek(void* pointer, curl_off_t offset, int origin) {
  auto& self = *static_cast<Impl*>(pointer);
  if (origin != SEEK_SET || offset < 0 ||
      static_cast<std::uint64_t>(offset) > self.request_->body_size)
    return CURL_SEEKFUNC_FAIL;
  self.sent_ = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

// The address that libcurl offers is a placeholder (CURLOPT_RESOLVE): the dialer knows the name.
curl_socket_t Transport::Impl::on_open(void* pointer, curlsocktype, struct curl_sockaddr*) {
  auto& self = *static_cast<Impl*>(pointer);
  self.dialed_ = {DialEnd::kUnreachable, "the process that connects is gone"};
  if (!send_packet(self.dialer_, encode(DialRequest{self.dial_host_, self.dial_port_})))
    return CURL_SOCKET_BAD;
  auto packet = receive_packet_up_to(self.dialer_, 1, kDialMilliseconds);
  if (!packet) return CURL_SOCKET_BAD;
  auto answer = decode_dial_answer(packet->message);
  if (!answer) return CURL_SOCKET_BAD;
  self.dialed_ = *std::move(answer);
  if (self.dialed_.end != DialEnd::kConnected || packet->descriptors.size() != 1)
    return CURL_SOCKET_BAD;
  return packet->descriptors.front().release();
}

CURLcode Transport::Impl::on_tls(CURL*, void* context, void* pointer) {
  auto& self = *static_cast<Impl*>(pointer);
  if (!self.store_) {
    self.store_.reset(X509_STORE_new());
    if (!self.store_) return CURLE_OUT_OF_MEMORY;
    for (const std::string& pem : self.material_.authorities)
      add_certificates(self.store_.get(), pem);
    // A certificate that the user trusts is trusted even if another one has signed it.
    X509_STORE_set_flags(self.store_.get(), X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
  }
  SSL_CTX_set1_cert_store(static_cast<SSL_CTX*>(context), self.store_.get());
  return CURLE_OK;
}

bool Transport::Impl::is_dialed(const std::string& host, std::uint16_t port) {
  dial_host_ = host;
  dial_port_ = port;
  if (host.starts_with('[')) return true;  // an address already: libcurl looks nothing up
  const std::string entry = host + ":" + std::to_string(port) + ":127.0.0.1";
  resolve_ = curl_slist_append(nullptr, entry.c_str());
  return curl_easy_setopt(curl_, CURLOPT_RESOLVE, resolve_) == CURLE_OK;
}

void Transport::Impl::set_up_tls(const HttpRequest& request) {
  const bool verify = !request.to_origin || setup_.verify == FetcherSetup::Verify::kPeer;
  curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
  curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
  curl_easy_setopt(curl_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(curl_, CURLOPT_CAINFO, nullptr);
  curl_easy_setopt(curl_, CURLOPT_CAPATH, nullptr);
  curl_easy_setopt(curl_, CURLOPT_SSL_CTX_FUNCTION, &Impl::on_tls);
  curl_easy_setopt(curl_, CURLOPT_SSL_CTX_DATA, this);
  if (!request.to_origin || material_.client_certificate.empty()) return;
  const std::string& key =
      material_.client_key.empty() ? material_.client_certificate : material_.client_key;
  struct curl_blob certificate_blob{material_.client_certificate.data(),
                                    material_.client_certificate.size(), CURL_BLOB_NOCOPY};
  struct curl_blob key_blob{const_cast<char*>(key.data()), key.size(), CURL_BLOB_NOCOPY};
  curl_easy_setopt(curl_, CURLOPT_SSLCERT_BLOB, &certificate_blob);
  curl_easy_setopt(curl_, CURLOPT_SSLCERTTYPE, "PEM");
  curl_easy_setopt(curl_, CURLOPT_SSLKEY_BLOB, &key_blob);
  curl_easy_setopt(curl_, CURLOPT_SSLKEYTYPE, "PEM");
}

void Transport::Impl::set_up_body(const HttpRequest& request) {
  switch (request.method) {
    case Method::kGet: curl_easy_setopt(curl_, CURLOPT_HTTPGET, 1L); return;
    case Method::kHead: curl_easy_setopt(curl_, CURLOPT_NOBODY, 1L); return;
    case Method::kDelete: curl_easy_setopt(curl_, CURLOPT_CUSTOMREQUEST, "DELETE"); return;
    case Method::kPost:
      curl_easy_setopt(curl_, CURLOPT_POST, 1L);
      curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body_size));
      break;
    case Method::kPut:
    case Method::kPatch:
      curl_easy_setopt(curl_, CURLOPT_UPLOAD, 1L);
      curl_easy_setopt(curl_, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body_size));
      curl_easy_setopt(curl_, CURLOPT_CUSTOMREQUEST, std::string(name_of(request.method)).c_str());
      break;
  }
  curl_easy_setopt(curl_, CURLOPT_READFUNCTION, &Impl::on_send);
  curl_easy_setopt(curl_, CURLOPT_READDATA, this);
  curl_easy_setopt(curl_, CURLOPT_SEEKFUNCTION, &Impl::on_seek);
  curl_easy_setopt(curl_, CURLOPT_SEEKDATA, this);
  // libcurl would wait a second for a "100 Continue" that few registries send.
  headers_ = curl_slist_append(headers_, "Expect:");
}

void Transport::Impl::set_up(const HttpRequest& request) {
  curl_easy_reset(curl_);  // keeps the connections
  forget_lists();
  error_[0] = '\0';
  curl_easy_setopt(curl_, CURLOPT_ERRORBUFFER, error_);
  curl_easy_setopt(curl_, CURLOPT_URL, request.url.text.c_str());
  curl_easy_setopt(curl_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl_, CURLOPT_USERAGENT, setup_.user_agent.c_str());
  curl_easy_setopt(curl_, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(curl_, CURLOPT_BUFFERSIZE, kBufferBytes);
  curl_easy_setopt(curl_, CURLOPT_UPLOAD_BUFFERSIZE, kBufferBytes);
  curl_easy_setopt(curl_, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  // The socket comes connected; libcurl 7.88 looks at it only when it would try the next address.
  curl_easy_setopt(curl_, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, 1L);
  curl_easy_setopt(curl_, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl_, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall_seconds));
  curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, &Impl::on_header);
  curl_easy_setopt(curl_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(curl_, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, &Impl::on_body);
  curl_easy_setopt(curl_, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(curl_, CURLOPT_OPENSOCKETFUNCTION, &Impl::on_open);
  curl_easy_setopt(curl_, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(curl_, CURLOPT_SOCKOPTFUNCTION, &Impl::on_socket);
  set_up_tls(request);
  set_up_body(request);
  for (const std::string& header : request.headers)
    headers_ = curl_slist_append(headers_, header.c_str());
  curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers_);

  // An empty proxy: none, and nothing of the environment either.
  const bool proxied = !setup_.proxy.empty() && !is_excepted(setup_.proxy_exceptions, request.url);
  curl_easy_setopt(curl_, CURLOPT_PROXY, proxied ? setup_.proxy.c_str() : "");
  const auto proxy = proxied ? parse_url(without_user(setup_.proxy)) : Result<Url>(request.url);
  if (proxy) (void)is_dialed(proxy->host, proxy->port);
}

TransportFailure Transport::Impl::describe(CURLcode code) {
  if (ended_by_sink_) return {FetchEnd::kRefused, {}};
  if (too_many_headers_) return {FetchEnd::kRefused, "the registry's answer has too many headers"};
  if (code == CURLE_COULDNT_CONNECT && dialed_.end != DialEnd::kConnected)
    return {meaning_of(dialed_.end), dialed_.text};
  std::string text = request_->url.place() + ": ";
  if (code == CURLE_OPERATION_TIMEDOUT)
    text += "nothing came for " + std::to_string(request_->stall_seconds) + " seconds";
  else
    text += error_[0] != '\0' ? error_ : curl_easy_strerror(code);
  return {meaning_of(code, text), std::move(text)};
}

std::expected<HttpAnswer, TransportFailure> Transport::Impl::perform(const HttpRequest& request,
                                                                     const BodySink& sink) {
  request_ = &request;
  sink_ = &sink;
  answer_ = {};
  header_bytes_ = 0;
  sent_ = 0;
  ended_by_sink_ = false;
  too_many_headers_ = false;
  dialed_ = {};
  set_up(request);
  const CURLcode code = curl_easy_perform(curl_);
  if (code != CURLE_OK) return std::unexpected(describe(code));
  long status = 0;
  curl_off_t retry_after = 0;
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(curl_, CURLINFO_RETRY_AFTER, &retry_after);
  answer_.status = static_cast<std::uint64_t>(status);
  if (retry_after > 0) answer_.retry_after = static_cast<std::uint64_t>(retry_after);
  return std::move(answer_);
}

Transport::Transport(const FetcherSetup& setup, TlsMaterial material, int dialer)
    : impl_(std::make_unique<Impl>(setup, std::move(material), dialer)) {}
Transport::~Transport() = default;

Result<void> Transport::prepare() {
  if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) != 1 ||
      curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(ErrorKind::kSystem, "the libraries for TLS and HTTP do not start");
  // The first context makes the library look for its providers and its randomness.
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  unsigned char random[16];
  const bool works = context != nullptr && RAND_bytes(random, sizeof random) == 1;
  SSL_CTX_free(context);
  if (!works) return fail(ErrorKind::kSystem, "OpenSSL cannot make a context for TLS");
  return {};
}

std::expected<HttpAnswer, TransportFailure> Transport::perform(const HttpRequest& request,
                                                               const BodySink& sink) {
  return impl_->perform(request, sink);
}

}  // namespace bulkhead::storage
