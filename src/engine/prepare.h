// The way from the words of a command line to a specification: what `run` and `explain run` share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/compose.h"
#include "engine/health.h"
#include "engine/holdings.h"
#include "engine/joining.h"
#include "engine/options.h"
#include "engine/wish.h"
#include "oci/image.h"
#include "storage/size_limit.h"
#include "storage/snapshot.h"
#include "storage/store.h"
#include "sys/fd.h"

namespace bulkhead::engine {

// The image is in the store (brought in if it was not).
struct Prepared {
  Wish wish;
  storage::Store store;
  storage::ImageRecord record;
  oci::ImageConfig image;
  std::optional<storage::SizeLimit> limit;
  Circumstances circumstances;        // all but the ids of the range
  Fd image_lock;                      // ChosenImage::lock
  std::vector<std::string> warnings;  // defaults that this host cannot offer, and what flags open
  std::optional<Joined> joined;       // what circumstances.joined names, held
  HealthCheck health;
};

Result<Prepared> prepare(const RunOptions& options);

// The root file system of the container to be made.
storage::Snapshot snapshot_of(const Prepared& prepared, const RunOptions& options);

// Which ids of the host the container is to have.
IdWish ids_for(const Prepared& prepared);

// The destinations of mounts whose source is Bulkhead's own: the init, and make_handed_mounts().
std::vector<std::string> own_mounts_of(const Prepared& prepared);

// The mounts that the launch puts into the container; `circumstances` has its ids by now.
Result<std::vector<isolation::HandedMount>> make_handed_mounts(Prepared& prepared);

// The state root that the runtime uses under this run root: bulkhead-runtime --root sees the same
// containers.
std::string state_root_of(const StoreOptions& options);

}  // namespace bulkhead::engine
