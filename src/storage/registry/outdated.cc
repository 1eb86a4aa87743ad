#include "storage/registry/outdated.h"

namespace bulkhead::storage {

std::string_view name_of(Currency currency) {
  switch (currency) {
    case Currency::kCurrent: return "current";
    case Currency::kOutdated: return "outdated";
    case Currency::kGone: return "gone";
    case Currency::kLocal: return "local";
    case Currency::kUnknown: return "unknown";
  }
  return "unknown";
}

std::vector<std::string> known_digests(const std::vector<ImageName>& names, const ImageName& tag) {
  std::vector<std::string> digests;
  for (const ImageName& name : names)
    if (!name.reference.digest.empty() && name.manifest == tag.manifest &&
        name.reference.registry == tag.reference.registry &&
        name.reference.repository == tag.reference.repository)
      digests.push_back(name.reference.digest);
  return digests;
}

}  // namespace bulkhead::storage
