// Any bytes for a D-Bus message: decoding reads nothing beyond their end, and a body gives no value
// that it does not hold.
#include <cstdlib>
#include <string_view>

#include "sys/dbus_message.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto message = decode_message(bytes);
  const std::string_view body = message ? std::string_view(message->body) : bytes;
  if (message && dbus_message_size(bytes) != size) std::abort();
  DbusReader reader(body);
  for (std::size_t step = 0; step <= size; ++step) {
    const std::size_t before = reader.position();
    const bool more = step % 3 == 0   ? reader.string().has_value()
                      : step % 3 == 1 ? reader.uint32().has_value()
                                      : reader.signature().has_value();
    if (reader.position() > body.size() || reader.position() < before) std::abort();
    if (!more) break;
  }
  return 0;
}
