// The settings file: no text crashes the reader, and whatever name of an image is looked up in what
// was read leads to whole references.
#include <cstdlib>
#include <string>

#include "storage/registry/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead::storage;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto settings = parse_settings(text, "registries.toml");
  if (!settings) {
    if (settings.error().message().find('\x1b') != std::string::npos) std::abort();
    return 0;
  }
  if (settings->search.empty()) std::abort();
  for (const char* name : {"busybox", "a/b:1", "localhost:5000/x"}) {
    const auto found = candidates(*settings, name);
    if (!found) continue;
    for (const Reference& reference : *found)
      if (parse_reference(reference.canonical()) != reference) std::abort();
  }
  for (const auto& [name, registry] : settings->registries)
    if (registry.stall_seconds == 0 || registry.chunk_bytes == 0) std::abort();
  return 0;
}
