// The distribution protocol for one repository, through the fetcher: what is asked for, what the
// answers mean, when to try again and where else to look. Every digest is computed here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/image.h"
#include "storage/registry/endpoint.h"
#include "storage/registry/fetcher_process.h"
#include "storage/registry/retry.h"

namespace bulkhead::storage {

inline constexpr std::size_t kMostManifestBytes = 4 << 20;
inline constexpr std::size_t kMostConfigBytes = 4 << 20;

struct RemoteManifest {
  std::string text;
  std::string media_type;
  std::string digest;  // hex, of the text
  oci::MediaKind kind() const { return oci::kind_of_media_type(media_type); }
};

// Says that an attempt failed, and when there will be another.
using TellRetry = std::function<void(const std::string& why, std::chrono::milliseconds wait)>;

class RegistryClient {
 public:
  // `endpoints`: where to look, in order. `actions`: "pull" or "pull,push".
  RegistryClient(std::vector<Endpoint> endpoints, std::string repository, std::string actions,
                 TellRetry tell = {}, const RetryLimits& limits = {});

  // By tag or digest. kNotFound, kPermission (no access, or no such repository: registries do not
  // tell). What is asked for by a digest has it.
  Result<RemoteManifest> manifest(const std::string& version);
  // "sha256:…" of what the tag stands for, without fetching it where the registry can do that.
  Result<std::string> manifest_digest(const std::string& tag);
  // A small blob, verified.
  Result<std::string> blob(const std::string& hex, std::size_t limit);
  // What is missing of a blob, from its byte `done` on, written into `into`; `done` grows with what
  // has been written. Not verified.
  Result<void> blob_into(const std::string& hex, std::uint64_t size, int into, std::uint64_t& done);
  Result<std::vector<std::string>> tags();

  // Whether the registry answers to these credentials.
  Result<void> check_access();

  // One request after the other, at the registry itself: for uploads.
  Result<FetchAnswer> ask(FetchRequest request, int file,
                          const std::function<void(std::uint64_t)>& on_sent = {});
  // As ask(), with further attempts; only for requests that may be repeated.
  Result<FetchAnswer> ask_again(const FetchRequest& request, int file);
  // Waits before another attempt after this answer; false when there is to be none.
  bool pause(Retry& retry, const FetchAnswer& answer);
  Retry new_retry() const { return Retry(limits_); }

  const std::string& repository() const { return repository_; }
  const RegistrySettings& settings() const { return endpoints_[current_].settings; }
  // "/v2/library/busybox/" and `rest`.
  std::string path(std::string_view rest) const;
  std::string scope() const { return "repository:" + repository_ + ":" + actions_; }
  // Another one like this, with its own processes: begins where this one has found something.
  RegistryClient sibling() const;
  void tell_by(TellRetry tell) { tell_ = std::move(tell); }
  Error error_of(const FetchAnswer& answer, const std::string& what) const;

 private:
  Result<FetcherProcess*> fetcher();
  Result<FetchAnswer> get(const FetchRequest& request, std::size_t limit, const std::string& what);
  bool next_endpoint();
  void keep_to_protocol(const FetchAnswer& answer);

  std::vector<Endpoint> endpoints_;
  std::size_t current_ = 0;
  std::unique_ptr<FetcherProcess> fetcher_;
  Bearers bearers_;
  std::string repository_;
  std::string actions_;
  TellRetry tell_;
  RetryLimits limits_;
};

// What the document itself says it is, else what the registry says.
Result<std::string> media_type_of(std::string_view text, const std::string& content_type);

}  // namespace bulkhead::storage
