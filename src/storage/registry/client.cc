#include "storage/registry/client.h"

#include <thread>

#include "base/text.h"
#include "json/parse.h"
#include "storage/unpack/digest.h"
#include "storage/unpack/select_manifest.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostTagPages = 100;
constexpr std::size_t kMostTagBytes = 4 << 20;
constexpr std::size_t kMostTags = 20'000;
constexpr std::size_t kMostAnswer = 64 * 1024;

const std::vector<std::string> kManifestTypes{
    std::string(oci::kMediaTypeManifest), std::string(oci::kMediaTypeIndex),
    std::string(oci::kMediaTypeDockerManifest), std::string(oci::kMediaTypeDockerIndex)};

std::string digest_of(std::string_view text) {
  Sha256 digest;
  digest.update(text.data(), text.size());
  return digest.hex();
}

std::optional<std::uint64_t> known(std::uint64_t value) {
  return value == kUnknownSize ? std::nullopt : std::optional(value);
}

// Whether it says nothing but that this server cannot be spoken to.
bool is_of_reach(const FetchAnswer& answer) {
  const FetchEnd end = answer.result.end;
  return end == FetchEnd::kNotTls || end == FetchEnd::kInterrupted || end == FetchEnd::kUnknownHost;
}

}  // namespace

Result<std::string> media_type_of(std::string_view text, const std::string& content_type) {
  TRY_ASSIGN(const json::Document document, json::parse(text, {.bytes = kMostManifestBytes}));
  const json::Value& root = document.root();
  const json::Value* const version = root.find("schemaVersion");
  if (version != nullptr && version->as_int64() == 1)
    return fail(ErrorKind::kUnsupported,
                "the image has the format of Docker before 1.10 (schema 1), which proves nothing "
                "about its layers",
                "push it again with a Docker of this decade, or ask its publisher to");
  std::string type = content_type;
  if (const json::Value* const own = root.find("mediaType");
      own != nullptr && !own->as_string().empty())
    type = own->as_string();
  const auto kind = oci::kind_of_media_type(type);
  if (kind == oci::MediaKind::kManifest || kind == oci::MediaKind::kIndex) return type;
  // Servers of plain files know neither.
  if (root.find("manifests") != nullptr) return std::string(oci::kMediaTypeIndex);
  if (root.find("layers") != nullptr) return std::string(oci::kMediaTypeManifest);
  return fail(ErrorKind::kUnsupported,
              "the registry has something else than an image there: " + quoted(type));
}

RegistryClient::RegistryClient(std::vector<Endpoint> endpoints, std::string repository,
                               std::string actions, TellRetry tell, const RetryLimits& limits)
    : endpoints_(std::move(endpoints)),
      repository_(std::move(repository)),
      actions_(std::move(actions)),
      tell_(std::move(tell)),
      limits_(limits) {}

RegistryClient RegistryClient::sibling() const {
  RegistryClient other(endpoints_, repository_, actions_, tell_, limits_);
  other.current_ = current_;
  other.bearers_ = fetcher_ ? fetcher_->bearers() : bearers_;
  return other;
}

std::string RegistryClient::path(std::string_view rest) const {
  return "/v2/" + repository_ + "/" + std::string(rest);
}

Result<FetcherProcess*> RegistryClient::fetcher() {
  if (!fetcher_) {
    TRY_ASSIGN(FetcherProcess started, FetcherProcess::start(endpoints_[current_], bearers_));
    fetcher_ = std::make_unique<FetcherProcess>(std::move(started));
  }
  return fetcher_.get();
}

// Tokens of one server are nothing for the next.
bool RegistryClient::next_endpoint() {
  if (current_ + 1 == endpoints_.size()) return false;
  ++current_;
  fetcher_.reset();
  bearers_.clear();
  return true;
}

// A server that has spoken HTTPS, or should have had another certificate, is not asked by plain HTTP.
void RegistryClient::keep_to_protocol(const FetchAnswer& answer) {
  if (is_of_reach(answer)) return;
  if (current_ + 1 < endpoints_.size() &&
      endpoints_[current_ + 1].registry == endpoints_[current_].registry)
    endpoints_.erase(endpoints_.begin() + static_cast<std::ptrdiff_t>(current_) + 1);
}

bool RegistryClient::pause(Retry& retry, const FetchAnswer& answer) {
  const auto wait = retry.next(known(answer.head.retry_after), random_fraction());
  if (!wait) return false;
  std::string why = answer.result.text;
  if (answer.result.end == FetchEnd::kDone)
    why = "status " + std::to_string(answer.head.status) + (why.empty() ? "" : ": " + why);
  if (tell_) tell_(why, *wait);
  std::this_thread::sleep_for(*wait);
  return true;
}

Error RegistryClient::error_of(const FetchAnswer& answer, const std::string& what) const {
  const std::string& registry = endpoints_[current_].registry;
  const std::string& said = answer.result.text;
  const std::string where = "registry " + quoted(registry) + ": ";
  const std::string because = said.empty() ? std::string() : ": " + said;
  // Of a login: there is nothing but the credentials that could be refused.
  const bool refused = answer.result.end == FetchEnd::kUnauthorized || answer.has_status(401) ||
                       answer.has_status(403);
  if (what.empty() && refused)
    return {ErrorKind::kPermission, "the registry refuses the user or the password" + because};
  switch (answer.result.end) {
    case FetchEnd::kInterrupted: return {ErrorKind::kSystem, where + said};
    case FetchEnd::kUnknownHost:
      return {ErrorKind::kSystem, where + said,
              "check the name of the registry, and this host's resolver (/etc/resolv.conf)"};
    case FetchEnd::kUntrusted:
      return {ErrorKind::kPermission, where + said,
              "name its authority by ca in /etc/bulkhead/registries.toml (man 5 "
              "bulkhead-registries)"};
    case FetchEnd::kNotTls:
      return {ErrorKind::kSystem, where + said,
              "if it speaks plain HTTP, set http = true for it in /etc/bulkhead/registries.toml "
              "(man 5 bulkhead-registries)"};
    case FetchEnd::kRefused: return {ErrorKind::kInvalid, where + said};
    case FetchEnd::kUnauthorized:
      return {ErrorKind::kPermission, what + ": access denied" + because,
              "log in: bulkhead login " + registry};
    case FetchEnd::kDone: break;
  }
  if (answer.head.status == 404) return {ErrorKind::kNotFound, what + " not found" + because};
  if (answer.head.status == 401 || answer.head.status == 403)
    return {ErrorKind::kPermission,
            what + ": access denied, or there is no such repository" + because,
            "log in if it is private: bulkhead login " + registry};
  if (answer.head.status == 429)
    return {ErrorKind::kState, where + "too many requests" + because,
            "wait, or log in: registries allow more to those whom they know"};
  return {ErrorKind::kSystem,
          where + "status " + std::to_string(answer.head.status) + " for " + what + because};
}

// The same request to one endpoint after the other, each with further attempts.
Result<FetchAnswer> RegistryClient::get(const FetchRequest& request, std::size_t limit,
                                        const std::string& what) {
  std::optional<Error> first;
  bool first_is_of_reach = false;
  Retry retry(limits_);
  for (;;) {
    TRY_ASSIGN(FetcherProcess* const process, fetcher());
    TRY_ASSIGN(FetchAnswer answer, process->fetch(request, limit));
    if (answer.succeeded()) {
      keep_to_protocol(answer);
      return answer;
    }
    // Who has another server asks that one before waiting for this one.
    const bool last = current_ + 1 == endpoints_.size();
    if (answer.is_transient() && last && pause(retry, answer)) continue;
    if (!first || first_is_of_reach) first = error_of(answer, what);
    first_is_of_reach = is_of_reach(answer);
    keep_to_protocol(answer);
    if (!next_endpoint()) return std::unexpected(*std::move(first));
    retry = Retry(limits_);
  }
}

Result<RemoteManifest> RegistryClient::manifest(const std::string& version) {
  FetchRequest request;
  request.target = path("manifests/" + version);
  request.accept = kManifestTypes;
  request.scope = scope();
  const std::string what =
      "manifest " +
      quoted(repository_ + (version.find(':') == std::string::npos ? ":" : "@") + version);
  TRY_ASSIGN(FetchAnswer answer, get(request, kMostManifestBytes, what));
  RemoteManifest manifest;
  manifest.text = std::move(answer.body);
  manifest.digest = digest_of(manifest.text);
  const bool by_digest = version.find(':') != std::string::npos;
  const std::string expected = by_digest ? version : answer.head.digest;
  if (by_digest) TRY(sha256_of(expected));
  if (expected.starts_with("sha256:") && expected.substr(7) != manifest.digest)
    return fail(ErrorKind::kInvalid,
                what + ": the registry sent another document than the one with that digest",
                "the registry is broken, or somebody tampers with what it sends");
  auto type = media_type_of(manifest.text, answer.head.content_type);
  if (!type) return std::unexpected(std::move(type).error().within(what));
  manifest.media_type = *std::move(type);
  return manifest;
}

Result<std::string> RegistryClient::manifest_digest(const std::string& tag) {
  FetchRequest request;
  request.method = Method::kHead;
  request.target = path("manifests/" + tag);
  request.accept = kManifestTypes;
  request.scope = scope();
  TRY_ASSIGN(const FetchAnswer answer,
             get(request, 0, "manifest " + quoted(repository_ + ":" + tag)));
  if (oci::is_digest(answer.head.digest)) return answer.head.digest;
  TRY_ASSIGN(const RemoteManifest whole, manifest(tag));
  return "sha256:" + whole.digest;
}

Result<std::string> RegistryClient::blob(const std::string& hex, std::size_t limit) {
  FetchRequest request;
  request.target = path("blobs/sha256:" + hex);
  request.scope = scope();
  TRY_ASSIGN(FetchAnswer answer, get(request, limit, "blob sha256:" + hex));
  if (digest_of(answer.body) != hex)
    return fail(ErrorKind::kInvalid, "the blob sha256:" + hex + " does not have that digest",
                "the registry is broken, or somebody tampers with what it sends");
  return std::move(answer.body);
}

Result<void> RegistryClient::blob_into(const std::string& hex, std::uint64_t size, int into,
                                       std::uint64_t& done) {
  const std::string what = "blob sha256:" + hex;
  Retry retry(limits_);
  while (done < size) {
    FetchRequest request;
    request.target = path("blobs/sha256:" + hex);
    request.scope = scope();
    request.first_byte = done;
    request.most_bytes = size - done;
    TRY_ASSIGN(FetcherProcess* const process, fetcher());
    TRY_ASSIGN(const FetchAnswer answer, process->fetch_into(request, into));
    done += answer.result.body_bytes;
    if (answer.result.body_bytes != 0) retry.progressed();
    if (answer.succeeded()) {
      if (done == size) break;
      return fail(ErrorKind::kInvalid,
                  what + ": the registry has " + std::to_string(done) +
                      " bytes of it, the manifest says " + std::to_string(size),
                  "the registry is broken, or somebody tampers with what it sends");
    }
    if (answer.is_transient() && pause(retry, answer)) continue;
    if (!next_endpoint()) return std::unexpected(error_of(answer, what));
  }
  return {};
}

Result<std::vector<std::string>> RegistryClient::tags() {
  std::vector<std::string> tags;
  FetchRequest request;
  request.target = path("tags/list");
  request.scope = scope();
  for (std::size_t page = 0; page < kMostTagPages; ++page) {
    TRY_ASSIGN(const FetchAnswer answer,
               get(request, kMostTagBytes, "the tags of " + quoted(repository_)));
    TRY_ASSIGN(const json::Document document, json::parse(answer.body, {.bytes = kMostTagBytes}));
    if (const json::Value* const list = document.root().find("tags"))
      for (const json::Value& tag : list->items())
        if (is_tag(tag.as_string())) tags.emplace_back(tag.as_string());
    if (answer.head.next.empty() || tags.size() > kMostTags) return tags;
    request.target = answer.head.next;
  }
  return tags;
}

Result<void> RegistryClient::check_access() {
  FetchRequest request;
  request.target = "/v2/";
  TRY(get(request, kMostAnswer, ""));
  return {};
}

Result<FetchAnswer> RegistryClient::ask(FetchRequest request, int file,
                                        const std::function<void(std::uint64_t)>& on_sent) {
  TRY_ASSIGN(FetcherProcess* const process, fetcher());
  if (request.scope.empty()) request.scope = scope();
  const bool sends = request.method == Method::kPost || request.method == Method::kPut ||
                     request.method == Method::kPatch;
  if (sends) return process->send(std::move(request), file, on_sent);
  return process->fetch(std::move(request), kMostAnswer);
}

Result<FetchAnswer> RegistryClient::ask_again(const FetchRequest& request, int file) {
  Retry retry(limits_);
  for (;;) {
    TRY_ASSIGN(FetchAnswer answer, ask(request, file));
    if (answer.is_transient() && pause(retry, answer)) continue;
    if (answer.result.end == FetchEnd::kNotTls && next_endpoint()) continue;
    return answer;
  }
}

}  // namespace bulkhead::storage
