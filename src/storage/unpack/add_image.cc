#include "storage/unpack/add_image.h"

#include "base/text.h"
#include "storage/tree_record.h"
#include "storage/unpack/implied_directories.h"

namespace bulkhead::storage {

Result<std::uint64_t> size_of_layers(const Store& store, const std::vector<std::string>& layers) {
  std::uint64_t size = 0;
  for (const std::string& layer : layers) {
    TRY_ASSIGN(const auto tree, read_tree_record(store.get(), layer));
    if (tree) size += tree->bytes;
  }
  return size;
}

Result<void> add_image(Ingest& ingest, const Store& store, const ImageDocuments& documents,
                       std::span<const LayerToFill> layers, std::span<const Reference> names,
                       Confinement& confinement, const ExtractLimits& limits,
                       std::vector<std::string>& notes, TransferObserver* observer) {
  if (documents.platform != own_platform())
    notes.push_back("the image " + documents.config_digest.substr(0, 12) + " is for " +
                    quoted(documents.platform, 64) + ", this machine is " + own_platform());
  TRY(fill_layers(ingest, layers, Blobs::kKept, confinement, limits, notes, observer));
  TRY_ASSIGN(const bool has_config, ingest.hold_blob(documents.config_digest));
  if (!has_config) TRY(ingest.add_blob(documents.config_digest, documents.config_text));
  TRY_ASSIGN(const bool has_manifest, ingest.hold_blob(documents.selected.digest));
  if (!has_manifest) TRY(ingest.add_blob(documents.selected.digest, documents.selected.text));
  TRY(ingest.publish());
  ImageRecord record = record_of(documents);
  for (const LayerToFill& layer : layers) record.blobs.push_back(layer.digest);
  TRY_ASSIGN(record.size, size_of_layers(store, record.layers));
  TRY_ASSIGN(record.implied, complete_directories(ingest, store, record.layers));
  return ingest.add_image(record, names);
}

}  // namespace bulkhead::storage
