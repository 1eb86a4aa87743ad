// Directories that a layer writes in without having an entry for them ("usr/bin/tool" and nothing of
// "usr"). In the layer's own tree they have to be something, and in an overlay the topmost directory
// decides on owner, mode, time and attributes: so it would hide what the image says of them.
//
// What they ought to be depends on the layers below, and a layer has other ones in every image. So the
// layers stay as they are, and an image that needs it gets one more layer, of the store's own, on top:
// nothing but these directories, each as the highest layer has it that has an entry for it. It is named
// by a hash of what it holds and otherwise like any layer (ImageRecord::implied).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "storage/ingest.h"

namespace bulkhead::storage {

// `layers`: diff ids, the lowest first; all are in the store, and held. The name of the layer, which is
// in the store then and held; empty when none is needed.
Result<std::string> complete_directories(Ingest& ingest, const Store& store,
                                         const std::vector<std::string>& layers);

}  // namespace bulkhead::storage
