#include "storage/unpack/repair_layers.h"

#include "storage/ingest.h"
#include "storage/unpack/fill_layers.h"
#include "storage/unpack/implied_directories.h"
#include "storage/unpack/store_blobs.h"

namespace bulkhead::storage {

Result<std::vector<std::string>> restore_layers(const std::string& store_path,
                                                const std::string& manifest,
                                                Confinement& confinement,
                                                const ExtractLimits& limits) {
  TRY_ASSIGN(const Store store, Store::open(store_path));
  TRY_ASSIGN(Ingest ingest, Ingest::begin(store));
  TRY(ingest.hold_blob(manifest));
  TRY_ASSIGN(const auto record, store.find_manifest(manifest));
  if (!record)
    return fail(ErrorKind::kNotFound, "the store has no image " + manifest.substr(0, 12));
  std::vector<LayerToFill> layers;
  for (std::size_t i = 0; i < record->blobs.size(); ++i) {
    TRY(ingest.hold_blob(record->blobs[i]));
    LayerToFill layer;
    layer.diff_id = record->layers[i];
    layer.digest = record->blobs[i];
    TRY_ASSIGN(const bool there, ingest.hold_layer(layer.diff_id));
    if (there) continue;
    TRY_ASSIGN(layer.blob, open_blob(store, layer.digest));
    layers.push_back(std::move(layer));
  }
  std::vector<std::string> notes;
  TRY(fill_layers(ingest, layers, Blobs::kNotKept, confinement, limits, notes));
  // Not known to a record that was made anew while a layer was lost.
  TRY_ASSIGN(std::string implied, complete_directories(ingest, store, record->layers));
  if (implied == record->implied) return notes;
  ImageRecord completed = *record;
  completed.implied = std::move(implied);
  TRY(ingest.add_image(completed, {}));
  return notes;
}

}  // namespace bulkhead::storage
