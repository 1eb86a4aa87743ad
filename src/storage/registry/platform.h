// Which of the images in an index is meant: "os/architecture[/variant]".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/image.h"

namespace bulkhead::storage {

struct WantedPlatform {
  std::string os = "linux";
  std::string architecture;
  std::string variant;  // empty: the best one
  bool by_user = false;

  std::string text() const;
};

WantedPlatform this_platform();
// Also "arm64" alone, and the names that uname(1) has for architectures.
Result<WantedPlatform> parse_platform(std::string_view text);

// Whether an image of that platform is what was wanted.
bool fits(const WantedPlatform& wanted, const oci::Platform& platform);

// The best of an index; kNotFound lists what there is.
Result<oci::Descriptor> choose_platform(const std::vector<oci::Descriptor>& manifests,
                                        const WantedPlatform& wanted);

}  // namespace bulkhead::storage
