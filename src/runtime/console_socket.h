// The terminal's master side, handed to whoever asked for it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead::runtime {

// Connects to the stream socket at `path` (--console-socket), early, so that a wrong path fails
// before anything is made.
Result<Fd> connect_to_receiver(const std::string& path);

// Sends `descriptor` with `name` beside it ("/dev/pts/0", "pidfd") over the connected socket.
Result<void> send_descriptor(int socket, int descriptor, std::string_view name);

}  // namespace bulkhead::runtime
