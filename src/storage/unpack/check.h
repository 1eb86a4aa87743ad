// Looking whether the store is whole, and putting right what can be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/unpack/confinement.h"
#include "storage/unpack/extract.h"

namespace bulkhead::storage {

struct CheckOptions {
  bool repair = false;
  // Unpack each layer again beside itself, and compare every byte.
  bool contents = false;
};

struct CheckReport {
  // What is wrong, and with `repair` what was done about it.
  std::vector<std::string> problems;
  // Left over by processes that were killed: nobody's, and harmless. Removed by a repair.
  std::vector<std::string> left_over;
  std::size_t unrepaired = 0;  // of the problems
  std::size_t images = 0;
  std::size_t blobs = 0;
  std::size_t layers = 0;
  std::uint64_t bytes = 0;  // hashed
};

// Checks, in this order: each blob against its digest; each layer against what was recorded of it when
// it had been unpacked; each image's record against its documents, blobs and layers; each name. A repair
// removes a damaged blob, unpacks a damaged layer again, writes a record anew, and removes images and
// names that nothing can be made of any more. What a container uses is never removed.
Result<CheckReport> check_store(const std::string& store, const CheckOptions& options,
                                Confinement& confinement, const ExtractLimits& limits = {});

}  // namespace bulkhead::storage
