// What --version prints.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::cli {

// Three lines: "bulkhead-runtime version X", "commit: …", "spec: …". Callers take the version from
// what follows the word "version" in the first line, and the others by what stands before the
// colon.
std::string version_text();

std::string_view commit();

}  // namespace bulkhead::cli
