// save, load and import: what the user asked for, handed to the unpacker.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/options.h"

namespace bulkhead::engine {

// `format`: docker-archive, oci-archive or oci-dir. `output`: a file or directory, written under
// another name until it is whole; empty: standard output.
Result<void> save_images(const StoreOptions& options, const std::vector<std::string>& names,
                         const std::string& format, const std::string& output);

struct LoadResult {
  std::string text;                // for the standard output
  std::vector<std::string> notes;  // warnings
};

// `input`: empty for the standard input.
// `progress`: a terminal to show the progress on, or -1.
Result<LoadResult> load_images(const StoreOptions& options, const std::string& input, int progress);

struct ImportWish {
  std::string file;  // "-": the standard input
  std::string name;  // may be empty
  std::vector<std::string> changes;
  std::string message;
  std::string platform;
};
Result<LoadResult> import_tree(const StoreOptions& options, const ImportWish& wish);

}  // namespace bulkhead::engine
