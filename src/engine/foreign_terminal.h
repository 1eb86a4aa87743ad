// The terminal of a container that another OCI runtime makes.
#pragma once

#include <string>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead::engine {

// The console socket: the runtime sends the terminal's master to it.
class TerminalReceiver {
 public:
  // In the bundle. The path that is returned is short, because the bundle's own may be longer than an
  // address holds.
  Result<std::string> listen(int bundle);
  // Within 10 seconds.
  Result<Fd> receive() const;

 private:
  Fd socket_;
};

}  // namespace bulkhead::engine
