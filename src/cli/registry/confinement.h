// The processes that speak to the network under Bulkhead's own layers.
//
//   fetcher   HTTP and TLS. No file can be opened and no socket made: not by seccomp, not by
//             Landlock, and there would be none, in its empty root and its network namespace
//             without an interface
//   dialer    resolves names and connects. The network, and what a resolver reads in /etc and /lib
//
// Both: a user id that nobody else has, no capability, no new privileges, bounded memory, no other
// process in reach. Of root's calls; where the caller is not root, its user id stays, and so do the
// namespaces, and the rest holds.
#pragma once

#include "base/result.h"

namespace bulkhead::cli {

enum class NetworkWorker { kFetcher, kDialer };

// Returns locked in, or not at all.
Result<void> confine(NetworkWorker worker);

}  // namespace bulkhead::cli
