#include "storage/registry/pull_layers.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/text.h"
#include "storage/registry/pull.h"
#include "storage/registry/transfer_process.h"
#include "storage/unpack/digest.h"
#include "storage/unpack/limits_file.h"
#include "storage/unpack/unpack_layers.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

// How long a download may take to say how it ended when its layer has.
constexpr int kEndMilliseconds = 2'000;
constexpr std::size_t kBlock = std::size_t{256} << 10;

struct PulledLayer {
  std::size_t index = 0;  // in the manifest
  std::string name;       // "layer 2 of 5"
  std::string diff_id;
  std::string digest;
  std::uint64_t size = 0;
};

// The download of one blob: a partial file, a pipe and a process that fills it.
struct Download {
  PartialBlob partial;
  Fd pipe;  // to read from
  std::optional<TransferProcess> process;
  std::optional<Error> error;
};

class LayerPull {
 public:
  LayerPull(Ingest& ingest, const RegistryClient& client, const ImageDocuments& documents,
            const Store& store, Confinement& confinement, TransferObserver& observer,
            const SharedTransfers& shared)
      : ingest_(ingest),
        client_(client),
        store_(store),
        confinement_(confinement),
        observer_(observer),
        shared_(shared) {
    const auto& layers = documents.selected.manifest.layers;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      PulledLayer layer;
      layer.index = i;
      layer.name = "layer " + std::to_string(i + 1) + " of " + std::to_string(layers.size());
      layer.diff_id = documents.diff_ids[i];
      layer.digest = layers[i].digest.substr(7);
      layer.size = static_cast<std::uint64_t>(layers[i].size);
      layers_.push_back(layer);
      progress_.push_back({.id = layer.digest.substr(0, 12), .size = layer.size});
    }
  }

  Result<void> run();

 private:
  Result<void> unpack(const std::vector<const PulledLayer*>& layers);
  Result<void> try_to_unpack(const std::vector<const PulledLayer*>& layers);
  Result<void> fetch_blob(const PulledLayer& layer);
  Result<void> begin_download(const PulledLayer& layer, Download& download);
  Result<bool> discard_damaged(const std::vector<const PulledLayer*>& layers);
  Result<Fd> open_blob(const PulledLayer& layer) const;
  void settle(const PulledLayer& layer, LayerState state);
  void show() { observer_.layers(progress_); }
  void take_progress(const PulledLayer& layer, std::uint64_t bytes);

  Ingest& ingest_;
  const RegistryClient& client_;
  const Store& store_;
  Confinement& confinement_;
  TransferObserver& observer_;
  const SharedTransfers& shared_;
  std::vector<PulledLayer> layers_;
  std::vector<LayerProgress> progress_;
};

void LayerPull::settle(const PulledLayer& layer, LayerState state) {
  // A layer that comes twice is done twice.
  for (const PulledLayer& other : layers_)
    if (other.diff_id == layer.diff_id) progress_[other.index].state = state;
}

void LayerPull::take_progress(const PulledLayer& layer, std::uint64_t bytes) {
  LayerProgress& progress = progress_[layer.index];
  if (progress.state != LayerState::kMoving) return;
  progress.done = bytes;
  progress.retries = shared_[layer.index].retries;
  progress.retry_wait_ms = shared_[layer.index].retry_wait_ms;
}

Result<Fd> LayerPull::open_blob(const PulledLayer& layer) const {
  const std::string path = blob_path(layer.digest);
  TRY_ASSIGN(Fd file, open_at(store_.get(), path.c_str(), O_RDONLY | O_NOFOLLOW));
  return file;
}

Result<void> LayerPull::begin_download(const PulledLayer& layer, Download& download) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  download.pipe = Fd(ends[0]);
  const Fd into(ends[1]);
  (void)::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
  const std::uint64_t begun = download.partial.size;
  if (begun == layer.size) return {};  // it was whole, but never became a blob
  const auto work = [&](SharedTransfer& shared) -> Result<std::uint32_t> {
    RegistryClient client = client_for(client_, shared);
    std::uint64_t done = begun;
    TRY(client.blob_into(layer.digest, layer.size, into.get(), done));
    return 0U;
  };
  TRY_ASSIGN(TransferProcess process,
             TransferProcess::start({into.get()}, shared_[layer.index], work));
  download.process.emplace(std::move(process));
  return {};
}

// Those of which a partial blob has all bytes, but not the digest.
Result<bool> LayerPull::discard_damaged(const std::vector<const PulledLayer*>& layers) {
  bool any = false;
  for (const PulledLayer* layer : layers) {
    const std::string path = partial_blob_path(layer->digest);
    auto file = open_at(store_.get(), path.c_str(), O_RDONLY | O_NOFOLLOW);
    struct stat status{};
    if (!file || ::fstat(file->get(), &status) != 0) continue;
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size < layer->size) continue;
    Extent extent;
    extent.fd = file->get();
    extent.size = size;
    TRY_ASSIGN(const std::string digest, hash_extent(extent));
    if (digest == layer->digest) continue;
    TRY(ingest_.discard_partial_blob(layer->digest));
    any = true;
  }
  return any;
}

Result<void> LayerPull::try_to_unpack(const std::vector<const PulledLayer*>& layers) {
  std::vector<LayerJob> jobs(layers.size());
  std::vector<Fd> directories(layers.size());
  std::vector<Fd> blobs(layers.size());
  std::vector<Download> downloads(layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const PulledLayer& layer = *layers[i];
    LayerToUnpack& unpack = jobs[i].layer;
    jobs[i].name = layer.name;
    unpack.digest = layer.digest;
    unpack.diff_id = layer.diff_id;
    TRY_ASSIGN(directories[i], ingest_.new_layer(layer.diff_id));
    unpack.directory = directories[i].get();
    TRY_ASSIGN(const bool has_blob, ingest_.hold_blob(layer.digest));
    if (has_blob) {
      TRY_ASSIGN(blobs[i], open_blob(layer));
      unpack.source = {.fd = blobs[i].get(), .offset = 0, .size = layer.size};
    }
    jobs[i].begin = [&, i, has_blob](LayerToUnpack& to_unpack) -> Result<void> {
      progress_[layers[i]->index].state = LayerState::kMoving;
      show();
      if (has_blob) return {};
      Download& download = downloads[i];
      TRY_ASSIGN(download.partial, ingest_.open_partial_blob(layers[i]->digest));
      if (download.partial.size > layers[i]->size) {
        if (::ftruncate(download.partial.file.get(), 0) != 0)
          return std::unexpected(Error(SysError{"ftruncate", errno}));
        download.partial.size = 0;
      }
      TRY(begin_download(*layers[i], download));
      to_unpack.source = {.fd = download.pipe.get(),
                          .offset = std::nullopt,
                          .size = layers[i]->size,
                          .keep = download.partial.file.get(),
                          .kept = download.partial.size};
      return {};
    };
    jobs[i].done = [&, i] {
      Download& download = downloads[i];
      download.pipe.reset();
      if (download.process) download.error = download.process->end(kEndMilliseconds);
      if (!download.error) settle(*layers[i], LayerState::kDone);
    };
  }
  TRY_ASSIGN(const ExtractLimits limits, read_limits());
  const auto reports =
      unpack_layers(jobs, confinement_, limits, {.layers_at_once = kTransfersAtOnce},
                    [&](std::span<const std::uint64_t> bytes) {
                      for (std::size_t i = 0; i < layers.size(); ++i)
                        take_progress(*layers[i], bytes[i]);
                      show();
                    });
  for (std::size_t i = 0; i < layers.size(); ++i)
    // Why the bytes ended tells more than that they did.
    if (downloads[i].error && !reports)
      return std::unexpected(std::move(*downloads[i].error).within(layers[i]->name));
  if (!reports) return std::unexpected(reports.error());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    TRY(ingest_.describe_layer(layers[i]->diff_id, (*reports)[i].tree));
    if ((*reports)[i].skipped_devices != 0)
      observer_.note(layers[i]->name + ": " + std::to_string((*reports)[i].skipped_devices) +
                     " device nodes left out: a container's /dev is its own");
  }
  return {};
}

Result<void> LayerPull::unpack(const std::vector<const PulledLayer*>& layers) {
  bool resumed = false;
  for (const PulledLayer* layer : layers) {
    struct stat status{};
    const std::string path = partial_blob_path(layer->digest);
    resumed =
        resumed || (::fstatat(store_.get(), path.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                    status.st_size != 0);
  }
  auto done = try_to_unpack(layers);
  if (done) return {};
  TRY_ASSIGN(const bool damaged, discard_damaged(layers));
  if (!damaged || !resumed) return done;
  // What an earlier pull had left was not the blob's beginning: once more, without it.
  for (const PulledLayer* layer : layers) TRY(ingest_.discard_layer(layer->diff_id));
  return try_to_unpack(layers);
}

// For a layer that is unpacked already, by an image of a path, say.
Result<void> LayerPull::fetch_blob(const PulledLayer& layer) {
  progress_[layer.index].state = LayerState::kMoving;
  Download download;
  TRY_ASSIGN(download.partial, ingest_.open_partial_blob(layer.digest));
  const int file = download.partial.file.get();
  // Not worth taking up: it would have to be hashed from its beginning.
  if (::ftruncate(file, 0) != 0) return std::unexpected(Error(SysError{"ftruncate", errno}));
  download.partial.size = 0;
  TRY(begin_download(layer, download));
  Sha256 digest;
  std::vector<char> buffer(kBlock);
  std::uint64_t done = 0;
  for (;;) {
    TRY_ASSIGN(const std::size_t count,
               read_up_to(download.pipe.get(), buffer.data(), buffer.size()));
    if (count == 0) break;
    if (count > layer.size - done)
      return fail(ErrorKind::kInvalid, layer.name + ": its blob is longer than the manifest says");
    digest.update(buffer.data(), count);
    TRY(write_all(file, buffer.data(), count));
    done += count;
    take_progress(layer, done);
    show();
  }
  if (download.process)
    if (auto error = download.process->end(kEndMilliseconds))
      return std::unexpected(std::move(*error).within(layer.name));
  if (digest.hex() != layer.digest) {
    TRY(ingest_.discard_partial_blob(layer.digest));
    return fail(ErrorKind::kInvalid,
                layer.name + ": its blob does not have the digest " + layer.digest,
                "the registry is broken, or somebody tampers with what it sends");
  }
  progress_[layer.index].state = LayerState::kDone;
  return {};
}

Result<void> LayerPull::run() {
  std::vector<const PulledLayer*> missing;
  std::vector<const PulledLayer*> blob_missing;
  const auto is_in = [](const std::vector<const PulledLayer*>& list, const PulledLayer& layer) {
    return std::ranges::any_of(list, [&](const PulledLayer* other) {
      return other->diff_id == layer.diff_id || other->digest == layer.digest;
    });
  };
  for (const PulledLayer& layer : layers_) {
    if (is_in(missing, layer) || is_in(blob_missing, layer)) continue;
    TRY_ASSIGN(const bool has_layer, ingest_.hold_layer(layer.diff_id));
    TRY_ASSIGN(const bool has_blob, ingest_.hold_blob(layer.digest));
    if (!has_layer)
      missing.push_back(&layer);
    else if (!has_blob)
      blob_missing.push_back(&layer);
    else
      settle(layer, LayerState::kThere);
  }
  show();
  // What another process is pulling is waited for, but only while we hold nothing that it could wait
  // for: so ours first.
  while (!missing.empty()) {
    std::vector<const PulledLayer*> ours;
    std::vector<const PulledLayer*> others;
    for (const PulledLayer* layer : missing) {
      TRY_ASSIGN(const bool claimed, ingest_.claim_layer(layer->diff_id, Ingest::Patience::kTry));
      (claimed ? ours : others).push_back(layer);
    }
    if (ours.empty()) {
      TRY(ingest_.claim_layer(others.front()->diff_id, Ingest::Patience::kWait));
      ours.push_back(others.front());
      others.erase(others.begin());
    }
    std::vector<const PulledLayer*> to_unpack;
    for (const PulledLayer* layer : ours) {
      TRY_ASSIGN(const bool there_now, ingest_.hold_layer(layer->diff_id));
      if (!there_now) {
        to_unpack.push_back(layer);
        continue;
      }
      TRY_ASSIGN(const bool has_blob, ingest_.hold_blob(layer->digest));
      if (!has_blob) blob_missing.push_back(layer);
      settle(*layer, LayerState::kThere);
    }
    if (!to_unpack.empty()) TRY(unpack(to_unpack));
    TRY(ingest_.publish());
    ingest_.release_claims();
    missing = std::move(others);
  }
  for (const PulledLayer* layer : blob_missing) TRY(fetch_blob(*layer));
  TRY(ingest_.publish());
  show();
  return {};
}

}  // namespace

Result<std::uint64_t> pull_layers(Ingest& ingest, const RegistryClient& client,
                                  const ImageDocuments& documents, const Store& store,
                                  Confinement& confinement, TransferObserver& observer) {
  TRY_ASSIGN(const SharedTransfers shared, SharedTransfers::make(documents.diff_ids.size()));
  auto done = LayerPull(ingest, client, documents, store, confinement, observer, shared).run();
  observer.finished();
  if (!done) return std::unexpected(std::move(done).error());
  std::uint64_t bytes = 0;
  for (const std::string& diff_id : documents.diff_ids) {
    TRY_ASSIGN(const auto tree, read_tree_record(store.get(), diff_id));
    if (tree) bytes += tree->bytes;
  }
  return bytes;
}

}  // namespace bulkhead::storage
