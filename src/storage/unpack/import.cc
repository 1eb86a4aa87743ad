#include "storage/unpack/import.h"

#include <sys/stat.h>

#include <set>

#include "base/text.h"
#include "storage/record.h"
#include "storage/store.h"
#include "storage/unpack/blob_source.h"
#include "storage/unpack/select_manifest.h"
#include "storage/unpack/unpack_layers.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

constexpr const char* kStaging = "staging";
constexpr std::size_t kMostConfigBytes = 4 << 20;
constexpr std::size_t kMostLayers = 500;

Result<void> make_directory(int store, const char* name) {
  if (::mkdirat(store, name, 0700) != 0 && errno != EEXIST)
    return std::unexpected(Error(SysError{"mkdir", errno, name}));
  return {};
}

// One import at a time: whoever holds the lock owns the staging directory, and what stands in it is
// what a dead import has left.
Result<Fd> lock_store(int store) {
  TRY_ASSIGN(Fd lock, open_at(store, "lock", O_RDONLY | O_CREAT | O_NOFOLLOW, 0600));
  TRY(lock_exclusive(lock.get()));
  return lock;
}

// Whole or not at all: written under another name first.
Result<void> write_whole(int store, const std::string& path, std::string_view content) {
  const std::string unfinished = std::string(kStaging) + "/file";
  {
    TRY_ASSIGN(const Fd file,
               open_at(store, unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    TRY(write_all(file.get(), content.data(), content.size()));
    if (::fsync(file.get()) != 0) return std::unexpected(Error(SysError{"fsync", errno}));
  }
  if (::renameat(store, unfinished.c_str(), store, path.c_str()) != 0)
    return std::unexpected(Error(SysError{"rename", errno, path.c_str()}));
  return {};
}

bool exists(int store, const std::string& path) {
  return ::faccessat(store, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

struct Image {
  SelectedManifest selected;
  std::string config_digest;  // hex
  std::string config_text;
  std::vector<std::string> diff_ids;  // hex, one for each layer of the manifest
};

Result<Image> read_image(const BlobSource& source, const std::string& reference) {
  Image image;
  TRY_ASSIGN(image.selected, select_manifest(source, reference));
  const oci::Manifest& manifest = image.selected.manifest;
  TRY_ASSIGN(image.config_digest, sha256_of(manifest.config.digest));
  TRY_ASSIGN(image.config_text, source.read_blob(image.config_digest, kMostConfigBytes));
  auto config = oci::decode_image_config(image.config_text);
  if (!config)
    return std::unexpected(std::move(config).error().within("the image's configuration"));
  if (config->os != "linux" || config->architecture != own_architecture())
    return fail(ErrorKind::kUnsupported,
                "the image is for " + quoted(config->os + "/" + config->architecture) +
                    ", this machine is linux/" + std::string(own_architecture()));
  if (config->rootfs.diff_ids.size() != manifest.layers.size())
    return fail(ErrorKind::kInvalid,
                "the image's manifest has " + std::to_string(manifest.layers.size()) +
                    " layers, its configuration " + std::to_string(config->rootfs.diff_ids.size()));
  if (manifest.layers.size() > kMostLayers)
    return fail(ErrorKind::kUnsupported, "the image has more than " + std::to_string(kMostLayers) +
                                             " layers, which is what the kernel stacks");
  for (const std::string& diff_id : config->rootfs.diff_ids) {
    TRY_ASSIGN(std::string hex, sha256_of(diff_id));
    image.diff_ids.push_back(std::move(hex));
  }
  return image;
}

// A layer on its way: what its job has borrowed.
struct LayerInWork {
  std::string diff_id;
  Extent blob;
  Fd directory;
};

Result<LayerInWork> prepare(int store, const BlobSource& source, const oci::Descriptor& descriptor,
                            const std::string& diff_id, const std::string& digest) {
  switch (oci::kind_of_media_type(descriptor.media_type)) {
    case oci::MediaKind::kLayerTar:
    case oci::MediaKind::kLayerTarGzip:
    case oci::MediaKind::kLayerTarZstd: break;
    default:
      return fail(ErrorKind::kUnsupported,
                  "the image has a layer of an unknown type: " + quoted(descriptor.media_type));
  }
  LayerInWork layer;
  layer.diff_id = diff_id;
  TRY_ASSIGN(layer.blob, source.find("blobs/sha256/" + digest));
  if (descriptor.size < 0 || layer.blob.size != static_cast<std::uint64_t>(descriptor.size))
    return fail(ErrorKind::kInvalid,
                "the layer " + digest + " has " + std::to_string(layer.blob.size) +
                    " bytes, the manifest says " + std::to_string(descriptor.size));
  const std::string path = std::string(kStaging) + "/" + diff_id;
  if (::mkdirat(store, path.c_str(), 0755) != 0)
    return std::unexpected(Error(SysError{"mkdir", errno, path.c_str()}));
  TRY_ASSIGN(layer.directory, open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return layer;
}

// Those that the store has not got, into the staging directory.
Result<std::set<std::string>> unpack_missing(int store, const BlobSource& source,
                                             const Image& image, Confinement& confinement,
                                             const ExtractLimits& limits, ImportNotices& notices) {
  std::vector<LayerInWork> layers;
  std::vector<LayerJob> jobs;
  std::set<std::string> seen;
  layers.reserve(image.diff_ids.size());
  for (std::size_t i = 0; i < image.diff_ids.size(); ++i) {
    const std::string& diff_id = image.diff_ids[i];
    if (exists(store, layer_path(diff_id)) || !seen.insert(diff_id).second) continue;
    LayerJob job;
    job.name = "layer " + std::to_string(i + 1) + " of " + std::to_string(image.diff_ids.size());
    const oci::Descriptor& descriptor = image.selected.manifest.layers[i];
    TRY_ASSIGN(job.layer.digest, sha256_of(descriptor.digest));
    auto prepared = prepare(store, source, descriptor, diff_id, job.layer.digest);
    if (!prepared) return std::unexpected(std::move(prepared).error().within(job.name));
    layers.push_back(*std::move(prepared));
    job.layer.source = LayerSource::of(layers.back().blob);
    job.layer.diff_id = diff_id;
    job.layer.directory = layers.back().directory.get();
    jobs.push_back(std::move(job));
  }
  TRY_ASSIGN(const auto reports, unpack_layers(jobs, confinement, limits));
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (reports[i].skipped_devices != 0)
      notices.lines.push_back(jobs[i].name + ": " + std::to_string(reports[i].skipped_devices) +
                              " device nodes left out: they need a privilege, or mean nothing");
    if (reports[i].skipped_attributes != 0)
      notices.lines.push_back(jobs[i].name + ": " + std::to_string(reports[i].skipped_attributes) +
                              " extended attributes left out: the store's file system has none");
  }
  return seen;
}

Result<void> publish_layers(int store, const std::set<std::string>& unpacked) {
  if (unpacked.empty()) return {};
  // A name under layers/ says that the layer is whole, after a loss of power too.
  if (::syncfs(store) != 0) return std::unexpected(Error(SysError{"syncfs", errno}));
  for (const std::string& diff_id : unpacked) {
    const std::string from = std::string(kStaging) + "/" + diff_id;
    const std::string to = layer_path(diff_id);
    if (::renameat(store, from.c_str(), store, to.c_str()) != 0)
      return std::unexpected(Error(SysError{"rename", errno, to.c_str()}));
  }
  return {};
}

Result<ImportNotices> import_locked(int store, const Import& wanted, Confinement& confinement,
                                    const ExtractLimits& limits) {
  TRY_ASSIGN(const BlobSource source, BlobSource::open(wanted.source));
  TRY_ASSIGN(const SourceIdentity identity, source.identity());
  TRY_ASSIGN(const Image image, read_image(source, wanted.reference));

  ImportNotices notices;
  TRY_ASSIGN(const std::set<std::string> unpacked,
             unpack_missing(store, source, image, confinement, limits, notices));
  TRY_ASSIGN(const SourceIdentity identity_after, source.identity());
  if (identity_after != identity)
    return fail(ErrorKind::kState, "the image changed while it was read",
                "wait until whatever writes it is done, and try again");

  TRY(publish_layers(store, unpacked));
  TRY(write_whole(store, "blobs/sha256/" + image.selected.digest, image.selected.text));
  TRY(write_whole(store, "blobs/sha256/" + image.config_digest, image.config_text));
  ImageRecord record;
  record.key = ImageSource{wanted.source, wanted.reference, {}}.key();
  record.identity = identity;
  record.manifest_digest = image.selected.digest;
  record.config_digest = image.config_digest;
  record.layers = image.diff_ids;
  record.config = image.config_text;
  TRY(write_whole(store, "images/" + record_file_name(record.key), encode(record)));
  return notices;
}

}  // namespace

Result<ImportNotices> import_image(const Import& wanted, Confinement& confinement,
                                   const ExtractLimits& limits) {
  TRY_ASSIGN(const Store opened, Store::open(wanted.store));
  const int store = opened.get();
  for (const char* name : {"images", "blobs", "blobs/sha256", "layers", kEmptyLayer})
    TRY(make_directory(store, name));
  if (::fchmodat(store, kEmptyLayer, 0755, 0) != 0)
    return std::unexpected(Error(SysError{"chmod", errno, kEmptyLayer}));
  TRY_ASSIGN(const Fd lock, lock_store(store));
  // Somebody else may have brought it in while we waited.
  TRY_ASSIGN(const auto known, opened.find({wanted.source, wanted.reference, wanted.source}));
  if (known) return ImportNotices{};
  TRY(remove_tree_at(store, kStaging));
  TRY(make_directory(store, kStaging));
  auto done = import_locked(store, wanted, confinement, limits);
  // The staging directory is worth nothing to anybody; the next import would remove it, too.
  (void)remove_tree_at(store, kStaging);
  return done;
}

}  // namespace bulkhead::storage
