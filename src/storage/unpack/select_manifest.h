// Which image of a layout is meant: by its tag and by this machine's architecture.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "oci/image.h"
#include "storage/unpack/blob_source.h"

namespace bulkhead::storage {

struct SelectedManifest {
  std::string digest;  // hex
  oci::Manifest manifest;
  std::string text;
};

using oci::own_architecture;

// `reference`: the annotation org.opencontainers.image.ref.name, or empty when only one image for
// this machine is there. Indexes within indexes are followed. kNotFound names what there is.
Result<SelectedManifest> select_manifest(const BlobSource& source, const std::string& reference);

// Every image of the layout that is for this machine, or for an unknown one, with the annotations of its
// entry in the index.
struct ListedManifest {
  SelectedManifest selected;
  oci::Annotations annotations;
};
Result<std::vector<ListedManifest>> list_manifests(const BlobSource& source);

// The hex part of a "sha256:..." digest; kUnsupported for other algorithms.
Result<std::string> sha256_of(std::string_view digest);

}  // namespace bulkhead::storage
