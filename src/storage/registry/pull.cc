#include "storage/registry/pull.h"

#include "base/text.h"
#include "storage/image_names.h"
#include "storage/ingest.h"
#include "storage/registry/pull_layers.h"
#include "storage/store_lock.h"
#include "storage/unpack/image_documents.h"
#include "storage/unpack/implied_directories.h"

namespace bulkhead::storage {
namespace {

constexpr int kDeepestIndex = 4;

// The image's manifest, through the indexes that lead to it.
Result<RemoteManifest> follow(RegistryClient& client, RemoteManifest manifest,
                              const WantedPlatform& wanted, Ingest& ingest) {
  for (int depth = 0; manifest.kind() == oci::MediaKind::kIndex; ++depth) {
    if (depth == kDeepestIndex)
      return fail(ErrorKind::kInvalid, "the image's indexes are nested too deeply");
    auto index = oci::decode_index(manifest.text);
    if (!index) return std::unexpected(std::move(index).error().within("the image's index"));
    // What the name stands for in the registry stays known.
    TRY(ingest.add_blob(manifest.digest, manifest.text));
    TRY_ASSIGN(const oci::Descriptor chosen, choose_platform(index->manifests, wanted));
    TRY_ASSIGN(manifest, client.manifest(chosen.digest));
    if (static_cast<std::uint64_t>(chosen.size) != manifest.text.size())
      return fail(ErrorKind::kInvalid, "the manifest " + chosen.digest + " has " +
                                           std::to_string(manifest.text.size()) +
                                           " bytes, the index says " + std::to_string(chosen.size));
  }
  return manifest;
}

Result<ImageDocuments> fetch_documents(RegistryClient& client, const RemoteManifest& manifest) {
  ImageDocuments documents;
  documents.selected.digest = manifest.digest;
  documents.selected.text = manifest.text;
  auto decoded = oci::decode_manifest(manifest.text);
  if (!decoded) return std::unexpected(std::move(decoded).error().within("the image's manifest"));
  documents.selected.manifest = *std::move(decoded);
  const oci::Descriptor& config = documents.selected.manifest.config;
  if (oci::kind_of_media_type(config.media_type) != oci::MediaKind::kConfig)
    return fail(ErrorKind::kUnsupported,
                "this is an artifact and not an image: its configuration is of the type " +
                    quoted(config.media_type));
  TRY_ASSIGN(documents.config_digest, sha256_of(config.digest));
  TRY_ASSIGN(documents.config_text, client.blob(documents.config_digest, kMostConfigBytes));
  TRY(read_config_text(documents));
  for (const oci::Descriptor& layer : documents.selected.manifest.layers) {
    TRY(require_layer_type(layer));
    TRY(sha256_of(layer.digest));
  }
  return documents;
}

oci::Platform platform_of(const oci::ImageConfig& config) {
  oci::Platform platform;
  platform.architecture = config.architecture;
  platform.os = config.os;
  platform.variant = config.variant;
  return platform;
}

Result<void> check_platform(const ImageDocuments& documents, const WantedPlatform& wanted,
                            TransferObserver& observer) {
  TRY_ASSIGN(const oci::ImageConfig config, oci::decode_image_config(documents.config_text));
  if (fits(wanted, platform_of(config))) return {};
  const std::string its = quoted(config.os + "/" + config.architecture, 60);
  if (wanted.by_user)
    return fail(ErrorKind::kNotFound, "the image is for " + its + ", not for " + wanted.text());
  observer.note("the image is for " + its + ", and this machine is " + wanted.text());
  return {};
}

// What the image is to be known by: the name as it was given, and by what the registry has there.
std::vector<Reference> names_for(const Reference& reference, const std::string& digest) {
  Reference by_digest = reference;
  by_digest.tag.clear();
  by_digest.digest = digest;
  std::vector<Reference> names{by_digest};
  if (reference.digest.empty()) names.push_back(reference);
  return names;
}

}  // namespace

// When the store has what the registry has under that name, whole, only a name is missing, if that.
Result<bool> Puller::add_name_of_known(Ingest& ingest, const Reference& reference, Pulled& pulled) {
  const std::vector<Reference> names = names_for(reference, pulled.digest);
  TRY_ASSIGN(const auto record, store_.find_name(names.front()));
  if (!record || record->blobs.size() != record->layers.size()) return false;
  auto config = oci::decode_image_config(record->config);
  if (!config || !fits(platform_, platform_of(*config))) return false;
  for (const std::string& layer : record->layers) {
    TRY_ASSIGN(const bool has_layer, ingest.hold_layer(layer));
    if (!has_layer) return false;
  }
  if (!record->implied.empty()) {
    TRY_ASSIGN(const bool has_layer, ingest.hold_layer(record->implied));
    if (!has_layer) return false;
  }
  for (const std::string& blob : record->blobs) {
    TRY_ASSIGN(const bool has_blob, ingest.hold_blob(blob));
    if (!has_blob) return false;
  }
  for (const std::string& blob : record->blobs)
    observer_.line(blob.substr(0, 12) + ": Already exists");
  TRY_ASSIGN(const auto before, read_image_name(store_.get(), reference));
  pulled.newer = before != record->manifest_digest;
  TRY(ingest.add_image(*record, names));
  return true;
}

Result<Pulled> Puller::pull(RegistryClient& client, const Reference& reference) {
  TRY_ASSIGN(RemoteManifest top, client.manifest(reference.version()));
  Pulled pulled;
  pulled.digest = "sha256:" + top.digest;
  TRY_ASSIGN(Ingest ingest, Ingest::begin(store_));
  TRY_ASSIGN(const bool there, add_name_of_known(ingest, reference, pulled));
  if (there) return pulled;
  TRY_ASSIGN(const RemoteManifest manifest, follow(client, std::move(top), platform_, ingest));
  TRY_ASSIGN(const ImageDocuments documents, fetch_documents(client, manifest));
  TRY(check_platform(documents, platform_, observer_));

  TRY_ASSIGN(const std::uint64_t size,
             pull_layers(ingest, client, documents, store_, confinement_, observer_));
  TRY(ingest.add_blob(documents.selected.digest, documents.selected.text));
  TRY(ingest.add_blob(documents.config_digest, documents.config_text));
  TRY(ingest.publish());

  ImageRecord record = record_of(documents);
  record.size = size;
  TRY_ASSIGN(record.implied, complete_directories(ingest, store_, record.layers));
  for (const oci::Descriptor& layer : documents.selected.manifest.layers)
    record.blobs.push_back(layer.digest.substr(7));
  TRY_ASSIGN(const auto before, read_image_name(store_.get(), reference));
  pulled.newer = before != documents.selected.digest;
  TRY(ingest.add_image(record, names_for(reference, pulled.digest)));
  return pulled;
}

}  // namespace bulkhead::storage
