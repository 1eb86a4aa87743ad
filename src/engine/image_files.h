// Reading single files of an image that is not mounted: out of its layers as overlayfs would show
// them. No symbolic link is followed, whatever the image says: /etc/passwd of a hostile image may
// point anywhere (CVE-2024-9676).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::engine {

class ImageFiles {
 public:
  // `layers`: directories relative to `store`, from the top down.
  ImageFiles(int store, std::vector<std::string> layers)
      : store_(store), layers_(std::move(layers)) {}

  // DIRECTORY/NAME, one directory deep ("etc", "passwd"). Nothing when the image has no such file;
  // kInvalid when it is something else than a regular file of at most 1 MiB.
  Result<std::optional<std::string>> read(const char* directory, const char* name) const;

 private:
  int store_;
  std::vector<std::string> layers_;
};

}  // namespace bulkhead::engine
