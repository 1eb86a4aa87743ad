// Pulling one image: its documents are fetched and checked, its missing layers streamed from the
// network into the unpacker, several at once, and everything is in the store or nothing is. What was
// downloaded before an interruption is used by the next attempt.
#pragma once

#include <string>

#include "base/result.h"
#include "storage/ingest.h"
#include "storage/reference.h"
#include "storage/registry/client.h"
#include "storage/registry/observer.h"
#include "storage/registry/platform.h"
#include "storage/store.h"
#include "storage/unpack/confinement.h"
#include "storage/unpack/extract.h"

namespace bulkhead::storage {

struct Pulled {
  std::string digest;  // "sha256:…" of what the registry has under the name: an index or a manifest
  bool newer = false;  // the name meant another image before, or none
};

// How many layers move at once; as many processes speak to the registry.
inline constexpr unsigned kTransfersAtOnce = 3;

class Puller {
 public:
  Puller(const Store& store, Confinement& confinement, TransferObserver& observer,
         WantedPlatform platform)
      : store_(store),
        confinement_(confinement),
        observer_(observer),
        platform_(std::move(platform)) {}

  // `client`: of the reference's registry and repository.
  Result<Pulled> pull(RegistryClient& client, const Reference& reference);

 private:
  Result<bool> add_name_of_known(Ingest& ingest, const Reference& reference, Pulled& pulled);

  const Store& store_;
  Confinement& confinement_;
  TransferObserver& observer_;
  WantedPlatform platform_;
};

}  // namespace bulkhead::storage
