// The names of the store's images: references/<repository>/<version>, a symbolic link to the record
// of the image, so that one open(2) leads from a name to all that a start needs. <repository> is
// "docker.io/library/busybox" with "+" for "/", <version> ":latest" or "@sha256:…".
//
// A name appears and changes by one rename, and only for an image that is whole. The caller holds the
// store's lock (store_lock.h): shared to set names, exclusively to take them away.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/reference.h"

namespace bulkhead::storage {

struct ImageName {
  Reference reference;   // with a tag or a digest, not with both
  std::string manifest;  // hex; what the name stands for need not be there
};

// "references/…/:latest". Of a reference with tag and digest, the digest counts.
std::string name_path(const Reference& reference);

// Durable when it returns. The name may have been another image's before.
Result<void> set_image_name(int store, const Reference& reference, std::string_view manifest);
// False when there is no such name.
Result<bool> remove_image_name(int store, const Reference& reference);

// The manifest that the name stands for.
Result<std::optional<std::string>> read_image_name(int store, const Reference& reference);

struct ImageNames {
  std::vector<ImageName> names;  // sorted by their canonical form
  // Entries that this program does not write, as paths.
  std::vector<std::string> foreign;
};
Result<ImageNames> list_image_names(int store);

// The repositories that have names ("docker.io/library/busybox"), in no order.
Result<std::vector<std::string>> list_repositories(int store);

// What set_image_name() was killed in the middle of. Only under the exclusive lock.
Result<void> clear_unfinished_names(int store);

}  // namespace bulkhead::storage
