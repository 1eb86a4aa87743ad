// Limits of a process of our own, before it meets what others have written.
#pragma once

#include <sys/resource.h>

#include "base/result.h"

namespace bulkhead {

// Both limits at `most`, or where they are when they are below it: none is ever raised. `name`:
// "RLIMIT_AS", for messages.
Result<void> lower_limit(__rlimit_resource resource, const char* name, rlim_t most);

}  // namespace bulkhead
