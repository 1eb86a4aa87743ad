#include "cli/runtime/version.h"

#include "oci/version.h"

#ifndef BULKHEAD_COMMIT
#define BULKHEAD_COMMIT "unknown"
#endif

namespace bulkhead::cli {

std::string_view commit() { return BULKHEAD_COMMIT; }

std::string version_text() {
  std::string text = "bulkhead-runtime version " BULKHEAD_VERSION "\ncommit: ";
  return text.append(commit()).append("\nspec: ").append(oci::kSpecVersion).append("\n");
}

}  // namespace bulkhead::cli
