// Several layers at once, each by a process of its own that oversees its two workers.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "storage/unpack/unpack_layer.h"

namespace bulkhead::storage {

struct LayerJob {
  std::string name;  // "layer 2 of 5": stands before its errors
  LayerToUnpack layer;
  // Called when it is the layer's turn, so that a download need not begin before; may be empty. What
  // it opens is its own to close, in `done` at the latest.
  std::function<Result<void>(LayerToUnpack&)> begin;
  // Called when the layer's process has ended; may be empty.
  std::function<void()> done;
};

struct UnpackBounds {
  // Layers at once, of three processes each, which take some 5 MiB (a zstd window of more than 8 MiB
  // comes on top). 0: one for each processor, at most 4.
  unsigned layers_at_once = 0;
};

// Called a few times a second while layers are unpacked, with the bytes read of each job's blob.
using ShowProgress = std::function<void(std::span<const std::uint64_t> bytes)>;

// The reports in the order of the jobs, each with the layer's tree. The first failure ends all others
// and is the one that is returned; when this returns, no process of it is left. The calling process
// must be single-threaded and ignore SIGPIPE.
Result<std::vector<ExtractReport>> unpack_layers(std::span<LayerJob> jobs, Confinement& confinement,
                                                 const ExtractLimits& limits = {},
                                                 const UnpackBounds& bounds = {},
                                                 const ShowProgress& show = {});

}  // namespace bulkhead::storage
