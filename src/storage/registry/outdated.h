// Whether a tag on this host is what its registry has under it now.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/image_names.h"

namespace bulkhead::storage {

enum class Currency {
  kCurrent,
  kOutdated,  // the registry has something else under the tag
  kGone,      // the registry has nothing under it (any more)
  kLocal,     // never pulled from there nor pushed: nothing to compare
  kUnknown,   // the registry could not be asked
};
std::string_view name_of(Currency currency);

struct ComparedTag {
  Reference reference;
  std::string here;   // "sha256:…" of what was pulled, or of the manifest
  std::string there;  // of what the registry has; may be empty
  Currency currency = Currency::kUnknown;
  std::string trouble;  // of kUnknown
};

// The digests under which the tag's image is known from its repository.
std::vector<std::string> known_digests(const std::vector<ImageName>& names, const ImageName& tag);

}  // namespace bulkhead::storage
