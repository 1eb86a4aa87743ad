// What hostile registries and token servers say in JSON and in URLs.
#include <cstdlib>
#include <string>

#include "storage/fetch/exchange.h"
#include "storage/fetch/url.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead::storage;
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const char c : registry_message(text))
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) std::abort();
  if (const auto token = token_in(text))
    for (const char c : *token)
      if (c <= 0x20 || c >= 0x7F) std::abort();
  static const Url kBase = *parse_url("https://r.example:5000/v2/");
  if (const auto url = resolve_url(kBase, text)) {
    if (url->scheme != "http" && url->scheme != "https") std::abort();
    for (const char c : url->text)
      if (c <= 0x20 || c >= 0x7F) std::abort();
    const auto again = parse_url(url->text);
    if (!again || !again->same_server(*url)) std::abort();
  }
  return 0;
}
