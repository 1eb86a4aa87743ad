// Pushing one image: blobs that the registry has not got are mounted from another of its
// repositories or uploaded, several at once, then the manifest, with its original bytes.
#pragma once

#include <string>

#include "base/result.h"
#include "storage/reference.h"
#include "storage/registry/client.h"
#include "storage/registry/observer.h"
#include "storage/store.h"

namespace bulkhead::storage {

struct Pushed {
  std::string digest;  // "sha256:…" of the manifest
  std::size_t size = 0;
};

// `client`: of the reference's registry and repository, with the actions "pull,push".
Result<Pushed> push_image(const Store& store, RegistryClient& client, const Reference& reference,
                          TransferObserver& observer);

}  // namespace bulkhead::storage
