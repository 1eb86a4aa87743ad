#include "storage/unpack/fill_layers.h"

#include <algorithm>

#include "base/text.h"
#include "storage/unpack/digest.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kBlock = std::size_t{512} << 10;

Result<std::string> pass(const Extent& blob, int output) {
  std::vector<char> buffer(kBlock);
  Sha256 digest;
  for (std::uint64_t done = 0; done < blob.size;) {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), blob.size - done);
    const ssize_t count =
        ::pread(blob.fd, buffer.data(), wanted, static_cast<off_t>(blob.offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(Error(SysError{"pread", errno}));
    if (count == 0) return fail(ErrorKind::kInvalid, "a blob was cut short while it was read");
    digest.update(buffer.data(), static_cast<std::size_t>(count));
    if (output >= 0) TRY(write_all(output, buffer.data(), static_cast<std::size_t>(count)));
    done += static_cast<std::uint64_t>(count);
  }
  return digest.hex();
}

// One layer of the image, with its place in it for messages.
struct Wanted {
  const LayerToFill* layer = nullptr;
  std::string name;
};

Result<void> keep_blob(Ingest& ingest, const Wanted& wanted) {
  TRY_ASSIGN(const Fd file, ingest.new_blob(wanted.layer->digest));
  auto digest = copy_and_hash(wanted.layer->blob, file.get());
  if (!digest) return std::unexpected(std::move(digest).error().within(wanted.name));
  if (*digest == wanted.layer->digest) return {};
  return fail(ErrorKind::kInvalid,
              wanted.name + ": the layer " + wanted.layer->digest + " does not have that digest",
              "the image is damaged or was tampered with: fetch it again");
}

// The layers as whoever watches sees them.
class Watching {
 public:
  Watching(std::span<const LayerToFill> layers, TransferObserver* observer)
      : layers_(layers), observer_(observer) {
    for (const LayerToFill& layer : layers)
      rows_.push_back({.id = layer.digest.substr(0, 12), .size = layer.blob.size});
  }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;
  ~Watching() {
    if (observer_ != nullptr) observer_->finished();
  }

  void set(const LayerToFill& layer, LayerState state) { rows_[index_of(layer)].state = state; }
  void moved(const LayerToFill& layer, std::uint64_t bytes) {
    LayerProgress& row = rows_[index_of(layer)];
    if (bytes > 0) row.state = LayerState::kMoving;
    row.done = bytes;
  }
  void show() {
    if (observer_ != nullptr) observer_->layers(rows_);
  }

 private:
  std::size_t index_of(const LayerToFill& layer) const {
    return static_cast<std::size_t>(&layer - layers_.data());
  }
  std::span<const LayerToFill> layers_;
  TransferObserver* observer_;
  std::vector<LayerProgress> rows_;
};

// Those that are claimed, side by side.
Result<void> unpack_claimed(Ingest& ingest, std::span<const Wanted> claimed, Blobs blobs,
                            Confinement& confinement, const ExtractLimits& limits,
                            std::vector<std::string>& notes, Watching& watching) {
  std::vector<LayerJob> jobs(claimed.size());
  std::vector<Fd> directories;
  std::vector<Fd> kept;
  for (std::size_t i = 0; i < claimed.size(); ++i) {
    const LayerToFill& wanted = *claimed[i].layer;
    LayerToUnpack& layer = jobs[i].layer;
    jobs[i].name = claimed[i].name;
    layer.source = LayerSource::of(wanted.blob);
    layer.digest = wanted.digest;
    layer.diff_id = wanted.diff_id;
    TRY_ASSIGN(Fd directory, ingest.new_layer(wanted.diff_id));
    layer.directory = directory.get();
    directories.push_back(std::move(directory));
    if (blobs == Blobs::kNotKept) continue;
    TRY_ASSIGN(const bool has_blob, ingest.hold_blob(wanted.digest));
    if (has_blob) continue;
    TRY_ASSIGN(Fd file, ingest.new_blob(wanted.digest));
    layer.source.keep = file.get();
    kept.push_back(std::move(file));
  }
  TRY_ASSIGN(const auto reports, unpack_layers(jobs, confinement, limits, {},
                                               [&](std::span<const std::uint64_t> bytes) {
                                                 for (std::size_t i = 0; i < bytes.size(); ++i)
                                                   watching.moved(*claimed[i].layer, bytes[i]);
                                                 watching.show();
                                               }));
  for (std::size_t i = 0; i < claimed.size(); ++i) {
    TRY(ingest.describe_layer(claimed[i].layer->diff_id, reports[i].tree));
    note_skipped(reports[i], jobs[i].name + ": ", notes);
    watching.set(*claimed[i].layer, LayerState::kDone);
  }
  return {};
}

}  // namespace

void note_skipped(const ExtractReport& report, std::string_view prefix,
                  std::vector<std::string>& notes) {
  const auto note = [&](std::uint64_t count, std::string_view what) {
    if (count == 0) return;
    notes.push_back(std::string(prefix) + std::to_string(count) + std::string(what));
  };
  note(report.skipped_devices, " device nodes left out: they need a privilege, or mean nothing");
  note(report.skipped_attributes,
       " extended attributes left out: the store's file system has none");
}

Result<std::string> copy_and_hash(const Extent& blob, int output) { return pass(blob, output); }
Result<std::string> hash_extent(const Extent& blob) { return pass(blob, -1); }

Result<void> require_layer_type(const oci::Descriptor& descriptor) {
  switch (oci::kind_of_media_type(descriptor.media_type)) {
    case oci::MediaKind::kLayerTar:
    case oci::MediaKind::kLayerTarGzip:
    case oci::MediaKind::kLayerTarZstd: return {};
    default:
      return fail(ErrorKind::kUnsupported,
                  "the image has a layer of an unknown type: " + quoted(descriptor.media_type));
  }
}

Result<void> fill_layers(Ingest& ingest, std::span<const LayerToFill> layers, Blobs blobs,
                         Confinement& confinement, const ExtractLimits& limits,
                         std::vector<std::string>& notes, TransferObserver* observer) {
  Watching watching(layers, observer);
  std::vector<Wanted> missing;
  std::vector<Wanted> blob_missing;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerToFill& layer = layers[i];
    Wanted wanted{&layer,
                  "layer " + std::to_string(i + 1) + " of " + std::to_string(layers.size())};
    const auto same = [&](const Wanted& other) { return other.layer->diff_id == layer.diff_id; };
    const auto same_blob = [&](const Wanted& other) { return other.layer->digest == layer.digest; };
    TRY_ASSIGN(const bool has_layer, ingest.hold_layer(layer.diff_id));
    if (!has_layer && std::ranges::none_of(missing, same)) {
      missing.push_back(std::move(wanted));
      continue;
    }
    watching.set(layer, LayerState::kThere);
    if (blobs == Blobs::kNotKept || std::ranges::any_of(missing, same_blob)) continue;
    TRY_ASSIGN(const bool has_blob, ingest.hold_blob(layer.digest));
    if (!has_blob && std::ranges::none_of(blob_missing, same_blob))
      blob_missing.push_back(std::move(wanted));
  }
  watching.show();
  for (const Wanted& wanted : blob_missing) TRY(keep_blob(ingest, wanted));

  // What another process is unpacking is waited for, but only when we hold nothing that it could wait
  // for: so ours first.
  while (!missing.empty()) {
    std::vector<Wanted> ours;
    std::vector<Wanted> others;
    for (Wanted& wanted : missing) {
      TRY_ASSIGN(const bool claimed,
                 ingest.claim_layer(wanted.layer->diff_id, Ingest::Patience::kTry));
      (claimed ? ours : others).push_back(std::move(wanted));
    }
    if (ours.empty()) {
      TRY(ingest.claim_layer(others.front().layer->diff_id, Ingest::Patience::kWait));
      ours.push_back(std::move(others.front()));
      others.erase(others.begin());
    }
    std::vector<Wanted> to_unpack;
    for (Wanted& wanted : ours) {
      TRY_ASSIGN(const bool there_now, ingest.hold_layer(wanted.layer->diff_id));
      if (!there_now) {
        to_unpack.push_back(std::move(wanted));
        continue;
      }
      watching.set(*wanted.layer, LayerState::kThere);
      if (blobs == Blobs::kNotKept) continue;
      TRY_ASSIGN(const bool has_blob, ingest.hold_blob(wanted.layer->digest));
      if (!has_blob) TRY(keep_blob(ingest, wanted));
    }
    if (!to_unpack.empty())
      TRY(unpack_claimed(ingest, to_unpack, blobs, confinement, limits, notes, watching));
    TRY(ingest.publish());
    ingest.release_claims();
    watching.show();
    missing = std::move(others);
  }
  return {};
}

}  // namespace bulkhead::storage
