// Taking away what nobody uses: neither a name, nor another image, nor a container, nor an image that is
// just being added.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/store.h"
#include "sys/fd.h"

namespace bulkhead::storage {

// What is in use, as hex.
struct InUse {
  std::set<std::string, std::less<>> images;  // manifests whose records stay
  std::set<std::string, std::less<>> blobs;
  std::set<std::string, std::less<>> layers;
  std::vector<std::string> abandoned;  // staging directories of processes that are gone
};

// Under the exclusive lock. An image of the store counts by its record, named or not. kInvalid when a
// container or an image in use has something that cannot be read: then nothing may be taken away.
Result<InUse> find_in_use(const Store& store);

struct Collected {
  std::vector<std::string> layers;  // diff ids
  std::vector<std::string> blobs;
  std::uint64_t bytes = 0;  // that they took
};

// What else goes with a collection.
struct CollectOptions {
  std::vector<std::string> images;  // manifests, without names by now, whose records go
  bool partial_blobs = false;       // downloads that nobody is at
  bool sources = false;             // images by their path that no container uses
};

// Everything that is not in use leaves its place, at once, while the exclusive lock `lock` is held; then
// the lock is given back and the files are deleted.
Result<Collected> collect(const Store& store, Fd lock, const CollectOptions& options = {});

// One thing out of its place, to be deleted by the next collection. Under the exclusive lock.
Result<void> move_to_trash(const Store& store, const std::string& path);

// Only what processes have left that were killed while they added an image; nothing is done when
// somebody else has the lock.
Result<void> sweep_abandoned(const Store& store);

}  // namespace bulkhead::storage
