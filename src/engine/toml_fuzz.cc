// Any configuration file of another engine: what is added to it is found again, and taken out to the
// byte.
#include <cstdlib>
#include <string_view>

#include "engine/toml_text.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead::engine;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto statements = scan_toml(text))
    for (const TomlStatement& one : *statements)
      if (one.end > text.size() || one.path.empty() || one.table_size > one.path.size())
        std::abort();
  const std::vector<TomlAddition> additions = {
      {{"engine", "runtimes"}, {{"bulkhead", "[\"/usr/bin/bulkhead-runtime\"]"}}},
      {{"engine"}, {{"runtime_supports_json", "[\"bulkhead\"]"}}}};
  const auto changed = with_additions(text, additions);
  if (!changed) {
    if (changed.error().message().empty()) std::abort();
    return 0;
  }
  if (!scan_toml(*changed)) std::abort();
  const auto back = without_additions(*changed);
  const auto before = without_additions(text);  // blocks of an earlier time go, too
  if (!back || !before || *back != *before) std::abort();
  return 0;
}
