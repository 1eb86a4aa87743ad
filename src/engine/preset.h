// --preset untrusted: what a command is run with that nobody vouches for, by one word.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/options.h"

namespace bulkhead::engine {

struct Wish;

// The options with what the preset adds; what the user has said himself stays, but a flag that would
// open something is an error that names it.
Result<RunOptions> with_preset(const RunOptions& options);

// The Landlock rule set of the preset: everything may be read and executed, and only what is the
// container's to write may be written.
std::string preset_landlock(const Wish& wish);

}  // namespace bulkhead::engine
