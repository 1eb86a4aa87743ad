// --security-opt: each option switches one layer, or gives it another policy than the default.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/wish.h"

namespace bulkhead::engine {

// "no-new-privileges[=BOOL]", "seccomp=FILE|unconfined", "apparmor=PROFILE|unconfined",
// "label=disable|user:U|role:R|type:T|level:L", "systempaths=unconfined", "landlock=FILE|unconfined".
// Docker's older "name:value" is taken, too.
Result<SecurityChoices> read_security_options(const std::vector<std::string>& options);

}  // namespace bulkhead::engine
