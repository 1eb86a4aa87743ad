// --change of `import`: instructions of a Dockerfile that change an image's configuration.
#pragma once

#include <string_view>

#include "base/result.h"
#include "oci/image.h"

namespace bulkhead::engine {

// CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR. kUsage says what is wrong.
Result<void> apply_change(std::string_view instruction, oci::ExecutionParameters& config);

}  // namespace bulkhead::engine
