// The first use of an empty volume: it gets what the image has in its place, as Docker does it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "volumes/record.h"

namespace bulkhead::volumes {

// `layers`: storage::lower_paths() of the image. `destination`: in the container; links of the image on the
// way lead nowhere but inside of the image, as when the volume is mounted. Returns how many device nodes
// and sockets were left out.
Result<std::uint64_t> populate(int store, const Volume& volume,
                               const std::vector<std::string>& layers,
                               const std::string& destination);

}  // namespace bulkhead::volumes
