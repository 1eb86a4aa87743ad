// Our own standard streams, connected to those of a container that has a monitor.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "supervise/client.h"

namespace bulkhead::engine {

struct AttachChoices {
  bool input = true;
  bool output = true;
  bool terminal = false;  // the container's streams are a terminal
  bool proxy_signals = true;
  std::string detach_keys;          // as they are typed
  std::function<void(int)> signal;  // sends one to the container
};

// Until the container ends or the user leaves it. `client` has attached already.
struct AttachEnd {
  bool detached = false;  // by keys
  int code = 0;           // of the container
};
Result<AttachEnd> attach(supervise::MonitorClient& client, const AttachChoices& choices);

}  // namespace bulkhead::engine
