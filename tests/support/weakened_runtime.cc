// The runtime with layers taken out, for the positive controls of the escape tests: an attack that
// the whole runtime stops must be seen to work without the layer that stops it. Never installed.
//
// BULKHEAD_REMOVED_LAYERS: names of layers (Layer::kName), separated by commas; "own binary" stands
// for the protection of the runtime's own file.
#include <cstdlib>

#include "base/text.h"
#include "cli/runtime/program.h"

int main(int count, char** values) {
  std::vector<std::string> removed;
  if (const char* names = std::getenv("BULKHEAD_REMOVED_LAYERS"))
    for (const std::string_view name : bulkhead::split(names, ','))
      if (!name.empty()) removed.emplace_back(name);
  return bulkhead::cli::run_runtime(count, values, std::move(removed));
}
