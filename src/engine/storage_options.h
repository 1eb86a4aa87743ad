// --storage and --storage-opt: how the image's layers are kept and read, and how much the container may
// write to its root file system.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/size_limit.h"
#include "storage/snapshotter.h"

namespace bulkhead::engine {

struct StorageChoices {
  storage::Layers layers;
  std::optional<std::uint64_t> size;                // bytes; nothing: no limit
  std::optional<storage::LimitMethod> size_method;  // nothing: the best that the host has
};

// `storage`: "overlay" or "erofs". `options`: "size=SIZE", "limit=quota|image|tmpfs",
// "directio[=BOOL]". Docker's "size=0" is no limit.
Result<StorageChoices> read_storage_options(const std::string& storage,
                                            const std::vector<std::string>& options);

}  // namespace bulkhead::engine
