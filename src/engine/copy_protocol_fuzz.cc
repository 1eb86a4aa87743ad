// Packets of the process that copies: none is taken for something that it does not say, and no text of an
// answer steers a terminal.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/copy_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead::engine;
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  if (const auto answer = decode_copy_answer(packet)) {
    for (const char c : answer->text)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) std::abort();
    if (!decode_copy_answer(encode(*answer))) std::abort();
  }
  if (const auto request = decode_copy_request(packet)) {
    const auto again = decode_copy_request(encode(*request));
    if (!again || again->path != request->path || again->name != request->name) std::abort();
  }
  return 0;
}
