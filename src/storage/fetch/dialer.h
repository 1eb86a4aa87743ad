// The process that resolves host names and connects: it has the network, and nothing else to lose. A
// fetcher gets its sockets from here, already connected, and can make none itself.
#pragma once

#include "base/result.h"

namespace bulkhead::storage {

// Answers the requests of one fetcher until it is gone. `overseer` brings a DialerSetup first.
Result<void> serve_dialer(int overseer, int fetcher);

}  // namespace bulkhead::storage
