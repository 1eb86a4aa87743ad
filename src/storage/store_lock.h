// The one lock of the store. Whoever begins to rely on something in it (gives it a name, adds an image,
// starts a container) holds the lock shared from looking until what it relies on is written down;
// whoever takes things away holds it exclusively from looking what is in use until they are out of
// their places. Neither holds it while bytes are moved: it is a matter of milliseconds.
#pragma once

#include <optional>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead::storage {

enum class StoreAccess { kUse, kRemove };

// Waits for it. Closing the descriptor gives it back, and so does the end of the process.
Result<Fd> lock_store(int store, StoreAccess access);
// Nothing when somebody else has it just now.
Result<std::optional<Fd>> try_lock_store(int store);  // kRemove

}  // namespace bulkhead::storage
