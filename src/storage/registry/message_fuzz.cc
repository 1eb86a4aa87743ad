// What a fetcher says that was taken over, and everything else that crosses between the processes:
// what is understood at all says the same when it is said again.
#include <cstdlib>
#include <string>

#include "storage/registry/message.h"

namespace {

template <class Decode>
void check(std::string_view text, Decode decode) {
  const auto once = decode(text);
  if (once && bulkhead::storage::encode(*once) != text) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead::storage;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(text, decode_setup);
  check(text, decode_request);
  check(text, decode_head);
  check(text, decode_result);
  check(text, decode_progress);
  check(text, decode_dialer_setup);
  check(text, decode_dial_request);
  check(text, decode_dial_answer);
  if (const auto head = decode_head(text); head && (head->status < 100 || head->status > 999))
    std::abort();
  return 0;
}
