// A name from a user, a script or an archive: whatever is taken for a reference reads back as the
// same one, and none of its parts can leave a URL's path or a directory.
#include <cstdlib>
#include <string>

#include "storage/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead::storage;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto reference = parse_reference(text);
  if (!reference) return 0;
  for (const std::string& spelling : {reference->canonical(), reference->familiar()})
    if (parse_reference(spelling) != *reference) std::abort();
  const std::string all = reference->canonical();
  // A tag may have two dots, which are no component of a path there.
  if (reference->name().find("..") != std::string::npos || all.find("//") != std::string::npos ||
      all.find_first_of(" \t\r\n%?#\\\"'") != std::string::npos ||
      all.find('\0') != std::string::npos)
    std::abort();
  if (!is_registry_name(reference->registry) || !is_repository_name(reference->repository) ||
      (!reference->tag.empty() && !is_tag(reference->tag)) || reference->version().empty())
    std::abort();
  return 0;
}
