// Any text for state.json: what is accepted comes back as it was when it is written again.
#include <cstdlib>
#include <string_view>

#include "runtime/record_json.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead::runtime;
  const auto record = decode_record({reinterpret_cast<const char*>(data), size});
  if (!record) return 0;
  const std::string text = encode_record(*record);
  const auto again = decode_record(text);
  if (!again || encode_record(*again) != text) std::abort();
  return 0;
}
