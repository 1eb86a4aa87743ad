// Any text for an image's record in the store: what is accepted comes back as it was when it is written
// again.
#include <cstdlib>
#include <string_view>

#include "storage/record.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead::storage;
  const auto record = decode_record({reinterpret_cast<const char*>(data), size});
  if (!record) {
    if (record.error().message().empty()) std::abort();
    return 0;
  }
  for (const std::string& layer : record->layers)
    if (!is_hex_digest(layer)) std::abort();
  const std::string text = encode(*record);
  const auto again = decode_record(text);
  if (!again || encode(*again) != text) std::abort();
  return 0;
}
