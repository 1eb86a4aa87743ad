// Which image of a layout is meant: by its tag and by this machine's architecture.
#pragma once

#include <string>

#include "base/result.h"
#include "oci/image.h"
#include "storage/unpack/blob_source.h"

namespace bulkhead::storage {

struct SelectedManifest {
  std::string digest;  // hex
  oci::Manifest manifest;
  std::string text;
};

// "amd64", "arm64": what Go, and so an image's platform, calls this machine.
std::string_view own_architecture();

// `reference`: the annotation org.opencontainers.image.ref.name, or empty when only one image for
// this machine is there. Indexes within indexes are followed. kNotFound names what there is.
Result<SelectedManifest> select_manifest(const BlobSource& source, const std::string& reference);

// The hex part of a "sha256:..." digest; kUnsupported for other algorithms.
Result<std::string> sha256_of(std::string_view digest);

}  // namespace bulkhead::storage
