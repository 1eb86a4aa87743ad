// The process that speaks HTTP and TLS with a registry and whoever it refers us to. It has no file
// system, no network of its own and no privilege: sockets come from the dialer, requests from the
// overseer, and what it fetches goes into a descriptor that came with the request.
#pragma once

#include "base/result.h"

namespace bulkhead::storage {

// Carries out requests until the overseer is gone. `overseer` brings a FetcherSetup first.
Result<void> serve_fetcher(int overseer, int dialer);

}  // namespace bulkhead::storage
