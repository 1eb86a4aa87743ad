// Lines of the journal: whatever is taken for an event must come back the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "events/event.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead::events;
  const auto event = decode({reinterpret_cast<const char*>(data), size});
  if (!event) return 0;
  std::string line = encode(*event);
  if (line.size() > kMostLine + 1 || !line.ends_with('\n')) std::abort();
  line.pop_back();
  if (line.find('\n') != std::string::npos) std::abort();
  const auto again = decode(line);
  if (!again || again->type != event->type || again->time.tv_sec != event->time.tv_sec ||
      again->time.tv_nsec != event->time.tv_nsec)
    std::abort();
  return 0;
}
