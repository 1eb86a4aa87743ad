// Whether this process can unpack layers at all. Their files have many owners, so it takes root: the
// host's, or that of a user namespace with a range of ids.
#pragma once

#include <string_view>

#include "base/result.h"

namespace bulkhead::storage {

// kPermission, with what to do about it. `what`: who needs it, "bulkhead pull".
Result<void> require_owners(std::string_view what);

}  // namespace bulkhead::storage
