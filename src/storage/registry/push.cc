#include "storage/registry/push.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/text.h"
#include "storage/image_names.h"
#include "storage/images.h"
#include "storage/ingest.h"
#include "storage/registry/pull.h"
#include "storage/registry/transfer_process.h"
#include "storage/registry/upload.h"
#include "storage/unpack/select_manifest.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr int kShowEveryMs = 100;

struct BlobFile {
  Fd file;
  std::uint64_t size = 0;
};

Result<BlobFile> open_blob(const Store& store, const std::string& hex) {
  const std::string path = blob_path(hex);
  auto file = open_at(store.get(), path.c_str(), O_RDONLY | O_NOFOLLOW);
  if (!file && file.error().error == ENOENT)
    return fail(ErrorKind::kState, "the store has not got the blob sha256:" + hex + " of the image",
                "pull the image again, or load it from an archive");
  if (!file) return std::unexpected(Error(file.error()));
  struct stat status{};
  if (::fstat(file->get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, path.c_str()}));
  return BlobFile{*std::move(file), static_cast<std::uint64_t>(status.st_size)};
}

// Repositories of the same registry that have the blob as far as we know.
std::vector<std::string> sources_of(const std::vector<StoredImage>& images, const std::string& hex,
                                    const Reference& target) {
  std::vector<std::string> sources;
  for (const StoredImage& image : images) {
    if (std::ranges::find(image.record.blobs, hex) == image.record.blobs.end()) continue;
    for (const Reference& name : image.names)
      // What was pulled from there or pushed there has the name by its digest.
      if (!name.digest.empty() && name.registry == target.registry &&
          name.repository != target.repository &&
          std::ranges::find(sources, name.repository) == sources.end())
        sources.push_back(name.repository);
  }
  return sources;
}

LayerState state_of(std::uint32_t outcome) {
  switch (static_cast<UploadOutcome>(outcome)) {
    case UploadOutcome::kThere: return LayerState::kThere;
    case UploadOutcome::kMounted: return LayerState::kMounted;
    case UploadOutcome::kUploaded: break;
  }
  return LayerState::kDone;
}

class Uploads {
 public:
  Uploads(RegistryClient& client, TransferObserver& observer, const SharedTransfers& shared)
      : client_(client), observer_(observer), shared_(shared) {}

  enum class Shown { kNo, kYes };
  void add(BlobToUpload blob, Fd file, Shown shown) {
    progress_.push_back(
        {.id = shown == Shown::kYes ? blob.digest.substr(0, 12) : "", .size = blob.size});
    blob.file = file.get();
    blobs_.push_back(std::move(blob));
    files_.push_back(std::move(file));
  }

  Result<void> run() {
    observer_.layers(progress_);
    std::size_t next = 0;
    while (next < blobs_.size() || !running_.empty()) {
      while (next < blobs_.size() && running_.size() < kTransfersAtOnce) TRY(start(next++));
      TRY(wait());
      show();
    }
    return {};
  }

 private:
  struct Running {
    std::size_t index;
    TransferProcess process;
  };

  Result<void> start(std::size_t index) {
    const BlobToUpload& blob = blobs_[index];
    TRY_ASSIGN(
        TransferProcess process,
        TransferProcess::start(
            {blob.file}, shared_[index], [&](SharedTransfer& shared) -> Result<std::uint32_t> {
              RegistryClient client = client_for(client_, shared);
              TRY_ASSIGN(
                  const UploadOutcome outcome,
                  upload_blob(client, blob, [&](std::uint64_t bytes) { shared.done = bytes; }));
              return static_cast<std::uint32_t>(outcome);
            }));
    progress_[index].state = LayerState::kMoving;
    running_.push_back({index, std::move(process)});
    return {};
  }

  Result<void> wait() {
    std::vector<struct pollfd> entries;
    for (const Running& running : running_)
      entries.push_back({running.process.report(), POLLIN, 0});
    if (::poll(entries.data(), entries.size(), kShowEveryMs) < 0 && errno != EINTR)
      return std::unexpected(Error(SysError{"poll", errno}));
    std::vector<Running> left;
    std::optional<Error> failure;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      Running running = std::move(running_[i]);
      if (entries[i].revents == 0) {
        left.push_back(std::move(running));
        continue;
      }
      auto error = running.process.end(-1);
      if (error && !failure) failure = std::move(error);
      progress_[running.index].state = state_of(shared_[running.index].outcome);
    }
    running_ = std::move(left);
    if (failure) return std::unexpected(*std::move(failure));
    return {};
  }

  void show() {
    for (std::size_t i = 0; i < progress_.size(); ++i) {
      progress_[i].done = shared_[i].done;
      progress_[i].retries = shared_[i].retries;
      progress_[i].retry_wait_ms = shared_[i].retry_wait_ms;
    }
    observer_.layers(progress_);
  }

  RegistryClient& client_;
  TransferObserver& observer_;
  const SharedTransfers& shared_;
  std::vector<BlobToUpload> blobs_;
  std::vector<Fd> files_;
  std::vector<LayerProgress> progress_;
  std::vector<Running> running_;
};

Result<void> put_manifest(RegistryClient& client, const Reference& reference,
                          const std::string& text, const std::string& hex) {
  const Fd file(::memfd_create("manifest", MFD_CLOEXEC));
  if (!file) return std::unexpected(Error(SysError{"memfd_create", errno}));
  TRY(write_all(file.get(), text.data(), text.size()));
  FetchRequest request;
  request.method = Method::kPut;
  request.target =
      client.path("manifests/" + (reference.tag.empty() ? "sha256:" + hex : reference.tag));
  TRY_ASSIGN(request.content_type, media_type_of(text, ""));
  request.body_size = text.size();
  TRY_ASSIGN(const FetchAnswer answer, client.ask_again(request, file.get()));
  if (!answer.succeeded())
    return std::unexpected(client.error_of(answer, "manifest " + quoted(reference.familiar())));
  if (!answer.head.digest.empty() && answer.head.digest != "sha256:" + hex)
    return fail(ErrorKind::kInvalid,
                "the registry has another manifest than it was sent: " + quoted(answer.head.digest),
                "the registry is broken, or somebody tampers with what it gets");
  return {};
}

}  // namespace

Result<Pushed> push_image(const Store& store, RegistryClient& client, const Reference& reference,
                          TransferObserver& observer) {
  // Held, so that nobody takes away what is being pushed.
  TRY_ASSIGN(Ingest ingest, Ingest::begin(store));
  TRY_ASSIGN(const auto record, store.find_name(reference));
  if (!record)
    return fail(ErrorKind::kNotFound,
                "there is no image " + quoted(reference.familiar()) + " on this host",
                "bulkhead images lists them; bulkhead tag gives them names");
  if (record->blobs.size() != record->layers.size())
    return fail(ErrorKind::kState, "the store has not got the blobs of this image",
                "load it from an archive, or pull it: then the store keeps them");
  std::vector<std::string> digests;
  for (const std::string& hex : record->blobs)
    if (std::ranges::find(digests, hex) == digests.end()) digests.push_back(hex);
  digests.push_back(record->config_digest);

  // One answer first: it tells how the registry is reached, and gives the token that all share.
  FetchRequest first;
  first.method = Method::kHead;
  first.target = client.path("blobs/sha256:" + record->config_digest);
  const Fd nothing(::memfd_create("nothing", MFD_CLOEXEC));
  TRY_ASSIGN(const FetchAnswer answer, client.ask_again(first, nothing.get()));
  if (!answer.succeeded() && !answer.has_status(404))
    return std::unexpected(
        client.error_of(answer, "repository " + quoted(reference.familiar_name())));

  TRY_ASSIGN(const std::vector<StoredImage> images, list_images(store));
  TRY_ASSIGN(const SharedTransfers shared, SharedTransfers::make(digests.size()));
  Uploads uploads(client, observer, shared);
  for (const std::string& hex : digests) {
    TRY(ingest.hold_blob(hex));
    TRY_ASSIGN(BlobFile blob, open_blob(store, hex));
    uploads.add({.digest = hex, .size = blob.size, .sources = sources_of(images, hex, reference)},
                std::move(blob.file),
                hex == record->config_digest ? Uploads::Shown::kNo : Uploads::Shown::kYes);
  }
  auto uploaded = uploads.run();
  observer.finished();
  if (!uploaded) return std::unexpected(std::move(uploaded).error());

  TRY_ASSIGN(const BlobFile manifest, open_blob(store, record->manifest_digest));
  TRY_ASSIGN(const std::string text, read_fd(manifest.file.get(), kMostManifestBytes));
  TRY(put_manifest(client, reference, text, record->manifest_digest));
  Reference by_digest = reference;
  by_digest.tag.clear();
  by_digest.digest = "sha256:" + record->manifest_digest;
  TRY(ingest.add_image(*record, std::vector<Reference>{by_digest}));
  return Pushed{by_digest.digest, text.size()};
}

}  // namespace bulkhead::storage
