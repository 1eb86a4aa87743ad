// The runtime's command line as a function.
#pragma once

#include <string>
#include <vector>

namespace bulkhead::cli {

// What main() returns. `removed_layers` names layers that containers do without, to show what each
// of them stops; it is empty in the binary that is installed.
int run_runtime(int count, char** values, std::vector<std::string> removed_layers = {});

}  // namespace bulkhead::cli
