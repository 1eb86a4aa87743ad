// The small documents of one image: read, checked against their digests and against each other.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "oci/image.h"
#include "storage/record.h"
#include "storage/unpack/blob_source.h"
#include "storage/unpack/fill_layers.h"
#include "storage/unpack/select_manifest.h"

namespace bulkhead::storage {

inline constexpr std::size_t kMostDocumentBytes = 4 << 20;
inline constexpr std::size_t kMostLayers = 500;  // what the kernel stacks

struct ImageDocuments {
  SelectedManifest selected;
  std::string config_digest;  // hex
  std::string config_text;
  std::string created;
  std::string platform;               // "linux/amd64"
  std::vector<std::string> diff_ids;  // hex, one for each layer of the manifest
};

// Everything but selected.manifest, of which there must be as many layers as the configuration has.
Result<void> read_config_text(ImageDocuments& documents);
// The configuration that selected.manifest names.
Result<ImageDocuments> read_documents(const BlobSource& source, SelectedManifest selected);

std::string own_platform();

// Where the layers' blobs are in the source; the size of each is the manifest's.
Result<std::vector<LayerToFill>> find_layers(const BlobSource& source,
                                             const ImageDocuments& documents);

// What the store remembers, but for the layers' blobs and the size.
ImageRecord record_of(const ImageDocuments& documents);

}  // namespace bulkhead::storage
