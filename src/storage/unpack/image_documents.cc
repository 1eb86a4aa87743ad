#include "storage/unpack/image_documents.h"

#include "base/text.h"

namespace bulkhead::storage {

std::string own_platform() { return "linux/" + std::string(own_architecture()); }

Result<void> read_config_text(ImageDocuments& documents) {
  auto config = oci::decode_image_config(documents.config_text);
  if (!config)
    return std::unexpected(std::move(config).error().within("the image's configuration"));
  const std::size_t layers = documents.selected.manifest.layers.size();
  if (config->rootfs.diff_ids.size() != layers)
    return fail(ErrorKind::kInvalid, "the image's manifest has " + std::to_string(layers) +
                                         " layers, its configuration " +
                                         std::to_string(config->rootfs.diff_ids.size()));
  if (layers > kMostLayers)
    return fail(ErrorKind::kUnsupported, "the image has more than " + std::to_string(kMostLayers) +
                                             " layers, which is what the kernel stacks");
  for (const std::string& diff_id : config->rootfs.diff_ids) {
    TRY_ASSIGN(std::string hex, sha256_of(diff_id));
    documents.diff_ids.push_back(std::move(hex));
  }
  documents.created = config->created;
  documents.platform = config->os + "/" + config->architecture;
  return {};
}

Result<ImageDocuments> read_documents(const BlobSource& source, SelectedManifest selected) {
  ImageDocuments documents;
  documents.selected = std::move(selected);
  const oci::Manifest& manifest = documents.selected.manifest;
  TRY_ASSIGN(documents.config_digest, sha256_of(manifest.config.digest));
  TRY_ASSIGN(documents.config_text, source.read_blob(documents.config_digest, kMostDocumentBytes));
  TRY(read_config_text(documents));
  return documents;
}

Result<std::vector<LayerToFill>> find_layers(const BlobSource& source,
                                             const ImageDocuments& documents) {
  std::vector<LayerToFill> layers;
  for (std::size_t i = 0; i < documents.diff_ids.size(); ++i) {
    const oci::Descriptor& descriptor = documents.selected.manifest.layers[i];
    TRY(require_layer_type(descriptor));
    LayerToFill layer;
    layer.diff_id = documents.diff_ids[i];
    TRY_ASSIGN(layer.digest, sha256_of(descriptor.digest));
    TRY_ASSIGN(layer.blob, source.find("blobs/sha256/" + layer.digest));
    if (descriptor.size < 0 || layer.blob.size != static_cast<std::uint64_t>(descriptor.size))
      return fail(ErrorKind::kInvalid,
                  "the layer " + layer.digest + " has " + std::to_string(layer.blob.size) +
                      " bytes, the manifest says " + std::to_string(descriptor.size));
    layers.push_back(std::move(layer));
  }
  return layers;
}

ImageRecord record_of(const ImageDocuments& documents) {
  ImageRecord record;
  record.manifest_digest = documents.selected.digest;
  record.config_digest = documents.config_digest;
  record.created = documents.created;
  record.layers = documents.diff_ids;
  record.config = documents.config_text;
  return record;
}

}  // namespace bulkhead::storage
