#include "storage/fetch/exchange.h"

#include <algorithm>

#include "base/text.h"
#include "storage/registry/base64.h"

namespace bulkhead::storage {
namespace {

constexpr int kMostRedirects = 10;
constexpr std::size_t kMostSaid = 64 * 1024;
constexpr std::size_t kMostTokenAnswer = 256 * 1024;
constexpr std::string_view kClientId = "bulkhead";

bool is_redirect(std::uint64_t status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}
bool is_success(std::uint64_t status) { return status >= 200 && status < 300; }

FetchResult failure(FetchEnd end, std::string text) { return {end, 0, std::move(text)}; }
FetchResult failure(const TransportFailure& failed) { return {failed.end, 0, failed.text}; }
FetchResult refusal(const Error& error) { return {FetchEnd::kRefused, 0, error.message()}; }

// "bytes 100-199/200": where it begins.
std::optional<std::uint64_t> first_byte_of(std::string_view content_range) {
  if (!content_range.starts_with("bytes ")) return std::nullopt;
  content_range.remove_prefix(6);
  return parse_number<std::uint64_t>(trim(next_field(content_range, '-')));
}

// A value for a message to the overseer, which takes printable ASCII; others never mean anything.
std::string printable(std::string_view text, std::size_t limit) {
  const bool fine = text.size() <= limit &&
                    std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; });
  return std::string(fine ? text : std::string_view());
}

// <https://…>; rel="next"
std::string_view next_link(std::string_view header) {
  const std::size_t begin = header.find('<');
  const std::size_t end = header.find('>', begin);
  if (begin == std::string_view::npos || end == std::string_view::npos) return {};
  if (header.find("rel=\"next\"", end) == std::string_view::npos &&
      header.find("rel=next", end) == std::string_view::npos)
    return {};
  return header.substr(begin + 1, end - begin - 1);
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
        std::string_view("-._~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      out += '%';
      out += kDigits[static_cast<unsigned char>(c) >> 4];
      out += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

void add_field(std::string& form, std::string_view name, std::string_view value) {
  if (!form.empty()) form += '&';
  form.append(name).append("=").append(percent_encoded(value));
}

// The scopes that we know we need, and the one that the registry asks for.
std::vector<std::string> scopes_of(const std::string& wanted, const std::string& asked) {
  std::vector<std::string> scopes;
  for (const std::string* text : {&wanted, &asked})
    for (const std::string_view scope : split(*text, ' '))
      if (!scope.empty() && std::ranges::find(scopes, scope) == scopes.end())
        scopes.emplace_back(scope);
  return scopes;
}

}  // namespace

FetchHead Exchange::head_of(const FetchRequest& request, const HttpAnswer& answer, const Url& url) {
  FetchHead head;
  head.status = answer.status;
  head.retry_after = answer.retry_after;
  head.first_byte = request.first_byte;
  if (const auto size = parse_number<std::uint64_t>(answer.header("content-length")))
    head.size =
        answer.status == 200 && *size >= request.first_byte ? *size - request.first_byte : *size;
  std::string_view type = answer.header("content-type");
  head.content_type = printable(trim(next_field(type, ';')), 256);
  head.digest = printable(answer.header("docker-content-digest"), 256);
  head.range = printable(answer.header("range"), 256);
  head.least_chunk = parse_number<std::uint64_t>(answer.header("oci-chunk-min-length")).value_or(0);
  if (const std::string_view location = answer.header("location"); !location.empty())
    if (const auto absolute = resolve_url(url, std::string(location)))
      head.location = absolute->text;
  if (const std::string_view link = next_link(answer.header("link")); !link.empty())
    if (const auto next = resolve_url(url, std::string(link)); next && next->same_server(origin_))
      head.next = target_of(*next).value_or("");
  head.bearer = new_bearer_;
  return head;
}

std::expected<HttpAnswer, FetchResult> Exchange::ask(const FetchRequest& request, const Url& url,
                                                     int body, ExchangeSink& sink) {
  HttpRequest http;
  http.method = request.method;
  http.url = url;
  http.to_origin = url.same_server(origin_);
  http.stall_seconds = std::max<std::uint64_t>(request.stall_seconds, 1);
  if (!request.accept.empty()) {
    std::string accept = "Accept: ";
    for (const std::string& type : request.accept)
      accept.append(accept.size() > 8 ? ", " : "").append(type);
    http.headers.push_back(std::move(accept));
  }
  if (request.first_byte != 0)
    http.headers.push_back("Range: bytes=" + std::to_string(request.first_byte) + "-");
  const bool sends = request.method == Method::kPost || request.method == Method::kPut ||
                     request.method == Method::kPatch;
  if (sends) {
    http.body_file = body;
    http.body_offset = request.body_offset;
    http.body_size = request.body_size;
    http.on_sent = [&sink](std::uint64_t bytes) { sink.sent(bytes); };
    if (!request.content_type.empty())
      http.headers.push_back("Content-Type: " + request.content_type);
    if (!request.content_range.empty())
      http.headers.push_back("Content-Range: " + request.content_range);
  }
  if (http.to_origin && !authorization_.empty())
    http.headers.push_back("Authorization: " + authorization_);

  said_.clear();
  std::uint64_t to_skip = 0;
  const char* why = nullptr;
  const auto take = [&](const HttpAnswer& answer, std::string_view bytes) {
    if (!is_success(answer.status)) {
      said_.append(bytes.substr(0, kMostSaid - said_.size()));
      return said_.size() < kMostSaid;
    }
    if (!head_sent_) {
      // A server may answer a request for a part with the whole.
      if (answer.status != 206) to_skip = request.first_byte;
      if (answer.status == 206 &&
          first_byte_of(answer.header("content-range")) != request.first_byte) {
        why = "the registry sent another part of the blob than it was asked for";
        return false;
      }
      head_sent_ = true;
      if (!sink.head(head_of(request, answer, url))) return false;
    }
    const std::size_t skipped =
        static_cast<std::size_t>(std::min<std::uint64_t>(to_skip, bytes.size()));
    to_skip -= skipped;
    bytes.remove_prefix(skipped);
    if (bytes.size() > request.most_bytes - passed_on_) {
      why = "the registry sends more than it should";
      return false;
    }
    if (bytes.empty()) return true;
    passed_on_ += bytes.size();
    return sink.body(bytes);
  };
  auto answer = transport_.perform(http, take);
  if (answer) return *std::move(answer);
  FetchResult failed = failure(answer.error());
  if (failed.text.empty()) failed.text = why != nullptr ? why : "nobody reads it any more";
  return std::unexpected(std::move(failed));
}

std::expected<std::string, FetchResult> Exchange::fetch_token(const FetchRequest& request,
                                                              const Challenge& challenge) {
  auto realm = parse_url(challenge.realm);
  if (!realm) return std::unexpected(refusal(realm.error()));
  if (!realm->is_tls() && origin_.is_tls())
    return std::unexpected(failure(FetchEnd::kRefused, "the registry wants the password sent to " +
                                                           quoted(realm->text, 200) +
                                                           ", which is not encrypted"));
  const std::vector<std::string> scopes = scopes_of(request.scope, challenge.scope);
  HttpRequest http;
  http.stall_seconds = std::max<std::uint64_t>(request.stall_seconds, 1);
  if (!setup_.identity_token.empty()) {
    http.method = Method::kPost;
    add_field(http.body, "grant_type", "refresh_token");
    add_field(http.body, "service", challenge.service);
    add_field(http.body, "client_id", kClientId);
    std::string joined;
    for (const std::string& scope : scopes) joined.append(joined.empty() ? "" : " ").append(scope);
    if (!joined.empty()) add_field(http.body, "scope", joined);
    add_field(http.body, "refresh_token", setup_.identity_token);
    http.body_size = http.body.size();
    http.headers.emplace_back("Content-Type: application/x-www-form-urlencoded");
  } else {
    if (!challenge.service.empty()) realm = with_query(*realm, "service", challenge.service);
    for (const std::string& scope : scopes)
      if (realm) realm = with_query(*realm, "scope", scope);
    if (realm && !setup_.user.empty()) realm = with_query(*realm, "account", setup_.user);
    if (!realm) return std::unexpected(refusal(realm.error()));
    if (!setup_.user.empty())
      http.headers.push_back("Authorization: Basic " + base64(setup_.user + ":" + setup_.password));
  }
  http.url = *realm;
  http.to_origin = realm->same_server(origin_);
  std::string body;
  const auto answer = transport_.perform(http, [&](const HttpAnswer&, std::string_view bytes) {
    body.append(bytes);
    return body.size() <= kMostTokenAnswer;
  });
  if (!answer) {
    FetchResult failed = failure(answer.error());
    if (failed.text.empty()) failed.text = "the answer is too long";
    failed.text.insert(0, "asking " + quoted(realm->place()) + " for a token: ");
    return std::unexpected(std::move(failed));
  }
  if (answer->status == 401 || answer->status == 403)
    return std::unexpected(failure(
        FetchEnd::kUnauthorized,
        "the token server " + quoted(realm->place()) + " refuses: " +
            (registry_message(body).empty() ? "wrong user or password" : registry_message(body))));
  if (!is_success(answer->status))
    return std::unexpected(failure(answer->status == 429 || answer->status >= 500
                                       ? FetchEnd::kInterrupted
                                       : FetchEnd::kUnauthorized,
                                   "the token server " + quoted(realm->place()) +
                                       " answers with status " + std::to_string(answer->status)));
  auto token = token_in(body);
  if (!token) return std::unexpected(failure(FetchEnd::kUnauthorized, token.error().message()));
  return *std::move(token);
}

std::expected<void, FetchResult> Exchange::authorize(const FetchRequest& request,
                                                     std::string_view challenges) {
  const auto challenge = choose_challenge(parse_challenges(challenges));
  if (!challenge)
    return std::unexpected(failure(FetchEnd::kUnauthorized,
                                   "the registry wants a proof of a kind that is not known here"));
  if (challenge->scheme == Challenge::Scheme::kBasic) {
    if (setup_.user.empty())
      return std::unexpected(
          failure(FetchEnd::kUnauthorized, "the registry wants a user and a password"));
    basic_ = true;
    authorization_ = "Basic " + base64(setup_.user + ":" + setup_.password);
    return {};
  }
  auto token = fetch_token(request, *challenge);
  if (!token) return std::unexpected(std::move(token).error());
  authorization_ = "Bearer " + *token;
  new_bearer_ = *std::move(token);
  return {};
}

std::expected<Url, FetchResult> Exchange::redirect(const FetchRequest& request,
                                                   const HttpAnswer& answer, const Url& from) {
  const std::string_view location = answer.header("location");
  auto url = resolve_url(from, std::string(location));
  if (!url) return std::unexpected(refusal(url.error()));
  if (from.is_tls() && !url->is_tls())
    return std::unexpected(
        failure(FetchEnd::kRefused,
                "the registry sent us to " + quoted(url->text, 200) + ", which is not encrypted"));
  const bool repeats = request.method == Method::kGet || request.method == Method::kHead ||
                       answer.status == 307 || answer.status == 308;
  if (!repeats)
    return std::unexpected(failure(
        FetchEnd::kRefused, "the registry answers " + std::string(name_of(request.method)) +
                                " with a redirect of status " + std::to_string(answer.status)));
  return *std::move(url);
}

FetchResult Exchange::run(const FetchRequest& request, int body, ExchangeSink& sink) {
  new_bearer_.clear();
  head_sent_ = false;
  passed_on_ = 0;
  authorization_ = request.bearer.empty() ? "" : "Bearer " + request.bearer;
  if (basic_) authorization_ = "Basic " + base64(setup_.user + ":" + setup_.password);

  auto url = resolve_url(origin_, request.target);
  if (!url) return refusal(url.error());
  if (origin_.is_tls() && !url->is_tls())
    return failure(FetchEnd::kRefused, "the registry names an address that is not encrypted");
  bool authorized = false;
  for (int redirects = 0;;) {
    const auto answer = ask(request, *url, body, sink);
    if (!answer) {
      FetchResult failed = answer.error();
      failed.body_bytes = passed_on_;
      return failed;
    }
    if (answer->status == 401 && url->same_server(origin_) && !authorized) {
      authorized = true;
      std::string challenges;
      for (const auto& [name, value] : answer->headers)
        if (name == "www-authenticate")
          challenges.append(challenges.empty() ? "" : ", ").append(value);
      if (const auto done = authorize(request, challenges); !done) return done.error();
      continue;
    }
    // The Location of a created upload is no redirect.
    if (is_redirect(answer->status) && !answer->header("location").empty()) {
      if (++redirects > kMostRedirects)
        return failure(FetchEnd::kRefused, "the registry redirects more than " +
                                               std::to_string(kMostRedirects) + " times");
      auto next = redirect(request, *answer, *url);
      if (!next) return next.error();
      url = *std::move(next);
      continue;
    }
    if (!head_sent_ && !sink.head(head_of(request, *answer, *url)))
      return failure(FetchEnd::kInterrupted, "nobody listens any more");
    return {FetchEnd::kDone, passed_on_, registry_message(said_)};
  }
}

}  // namespace bulkhead::storage
