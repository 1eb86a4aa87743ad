// `bulkhead cp`: files between a container and this host, or a tar on the standard streams.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "engine/copy_path.h"
#include "engine/options.h"
#include "storage/tree/pack_tree.h"

namespace bulkhead::engine {

struct CopyChoices {
  bool archive = false;      // keep uid and gid as they are at the source
  bool follow_link = false;  // of the source
  // Called now and then with the bytes that have passed.
  std::function<void(std::uint64_t)> progress;
};

struct CopyResult {
  std::uint64_t bytes = 0;  // of files
  storage::TreeNotes notes;
  std::string destination;  // as messages name it
};

// `local` "-": the standard streams.
Result<CopyResult> copy_from_container(const StoreOptions& options, const CopyPlace& source,
                                       const std::string& local, const CopyChoices& choices);
Result<CopyResult> copy_to_container(const StoreOptions& options, const std::string& local,
                                     const CopyPlace& destination, const CopyChoices& choices);

}  // namespace bulkhead::engine
