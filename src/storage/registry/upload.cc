#include "storage/registry/upload.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostSources = 3;  // that are asked for a blob before it is sent

class Upload {
 public:
  Upload(RegistryClient& client, const BlobToUpload& blob,
         const std::function<void(std::uint64_t)>& on_sent)
      : client_(client), blob_(blob), on_sent_(on_sent), what_("blob sha256:" + blob.digest) {}

  Result<UploadOutcome> run() {
    TRY_ASSIGN(const bool there, is_there());
    if (there) return UploadOutcome::kThere;
    for (std::size_t i = 0; i < std::min(blob_.sources.size(), kMostSources); ++i) {
      TRY_ASSIGN(const bool mounted, mount(blob_.sources[i]));
      if (mounted) return UploadOutcome::kMounted;
      if (!location_.empty()) break;  // not mounted, but an upload was begun in its place
    }
    Retry retry = client_.new_retry();
    for (;;) {
      if (location_.empty()) TRY(begin());
      TRY_ASSIGN(const FetchAnswer answer, send());
      if (answer.succeeded()) return UploadOutcome::kUploaded;
      // An upload that the registry has forgotten is begun anew.
      const bool forgotten = answer.has_status(404) || answer.has_status(416);
      const bool wants_chunks = !chunked_ && (answer.has_status(405) || answer.has_status(413));
      if (wants_chunks) {
        chunked_ = true;
        location_.clear();
        continue;
      }
      if ((!answer.is_transient() && !forgotten) || !client_.pause(retry, answer))
        return std::unexpected(client_.error_of(answer, what_));
      if (forgotten || !resume()) location_.clear();
    }
  }

 private:
  Result<bool> is_there() {
    FetchRequest request;
    request.method = Method::kHead;
    request.target = client_.path("blobs/sha256:" + blob_.digest);
    TRY_ASSIGN(const FetchAnswer answer, client_.ask_again(request, blob_.file));
    if (answer.succeeded()) return true;
    if (answer.has_status(404)) return false;
    return std::unexpected(client_.error_of(answer, what_));
  }

  Result<bool> mount(const std::string& source) {
    FetchRequest request;
    request.method = Method::kPost;
    request.target =
        client_.path("blobs/uploads/?mount=sha256:" + blob_.digest + "&from=" + source);
    request.scope = client_.scope() + " repository:" + source + ":pull";
    TRY_ASSIGN(const FetchAnswer answer, client_.ask(request, blob_.file));
    if (answer.has_status(201)) return true;
    // What is refused is sent: perhaps we may not read the other repository any more.
    if (answer.has_status(202)) accept_location(answer);
    return false;
  }

  Result<void> begin() {
    FetchRequest request;
    request.method = Method::kPost;
    request.target = client_.path("blobs/uploads/");
    TRY_ASSIGN(const FetchAnswer answer, client_.ask_again(request, blob_.file));
    if (!answer.has_status(202)) return std::unexpected(client_.error_of(answer, what_));
    accept_location(answer);
    if (location_.empty())
      return fail(ErrorKind::kInvalid, what_ + ": the registry began an upload, but not where");
    return {};
  }

  void accept_location(const FetchAnswer& answer) {
    if (!answer.head.location.empty()) location_ = answer.head.location;
    least_chunk_ = std::max(least_chunk_, answer.head.least_chunk);
    sent_ = 0;
  }

  Result<FetchAnswer> send() {
    const std::uint64_t chunk = std::max(client_.settings().chunk_bytes, least_chunk_);
    if (blob_.size > chunk) chunked_ = true;
    while (chunked_ && sent_ < blob_.size) {
      FetchRequest request;
      request.method = Method::kPatch;
      request.target = location_;
      request.content_type = "application/octet-stream";
      request.body_offset = sent_;
      request.body_size = std::min(chunk, blob_.size - sent_);
      request.content_range =
          std::to_string(sent_) + "-" + std::to_string(sent_ + request.body_size - 1);
      TRY_ASSIGN(FetchAnswer answer, client_.ask(request, blob_.file, counted()));
      if (!answer.succeeded()) return answer;
      sent_ += request.body_size;
      if (!answer.head.location.empty()) location_ = answer.head.location;
    }
    FetchRequest request;
    request.method = Method::kPut;
    request.target = with_digest(location_, blob_.digest);
    request.content_type = "application/octet-stream";
    request.body_offset = sent_;
    request.body_size = blob_.size - sent_;
    return client_.ask(request, blob_.file, counted());
  }

  std::function<void(std::uint64_t)> counted() {
    return [this](std::uint64_t bytes) { on_sent_(sent_ + bytes); };
  }

  // After an interruption: how far the registry came with it. False: it does not say.
  bool resume() {
    if (!chunked_) return false;
    FetchRequest request;
    request.target = location_;
    const auto answer = client_.ask_again(request, blob_.file);
    if (!answer || !answer->succeeded()) return false;
    const std::uint64_t received = received_bytes(answer->head.range);
    if (received > blob_.size) return false;
    sent_ = received;
    if (!answer->head.location.empty()) location_ = answer->head.location;
    return true;
  }

  RegistryClient& client_;
  const BlobToUpload& blob_;
  const std::function<void(std::uint64_t)>& on_sent_;
  std::string what_;
  std::string location_;
  std::uint64_t least_chunk_ = 0;
  std::uint64_t sent_ = 0;  // that the registry has acknowledged
  bool chunked_ = false;
};

}  // namespace

std::string with_digest(std::string location, const std::string& hex) {
  location += location.find('?') == std::string::npos ? '?' : '&';
  return location + "digest=sha256:" + hex;
}

std::uint64_t received_bytes(std::string_view range) {
  if (range.starts_with("bytes=")) range.remove_prefix(6);
  if (next_field(range, '-') != "0") return 0;
  const auto last = parse_number<std::uint64_t>(range);
  // "0-0" is what registries say of nothing, and of one byte.
  return last && *last != 0 && *last != ~std::uint64_t{0} ? *last + 1 : 0;
}

Result<UploadOutcome> upload_blob(RegistryClient& client, const BlobToUpload& blob,
                                  const std::function<void(std::uint64_t)>& on_sent) {
  return Upload(client, blob, on_sent).run();
}

}  // namespace bulkhead::storage
