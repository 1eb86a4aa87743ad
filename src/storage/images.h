// The images of the store as users see them: listed, and found by a name or an id.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/image_names.h"
#include "storage/record.h"
#include "storage/store.h"

namespace bulkhead::storage {

struct StoredImage {
  ImageRecord record;
  std::vector<Reference> names;  // with tags or digests; sorted
  std::string id() const { return "sha256:" + record.config_digest; }
};

// All images, the newest first, and of the same age by their manifest. Records that cannot be read
// are left out: `system check` names them.
Result<std::vector<StoredImage>> list_images(const Store& store);

struct FoundImage {
  ImageRecord record;
  // The name that it was found by; nothing when it was its id.
  std::optional<Reference> name;
};

// By a reference as Docker's users write it, by its id or the beginning of one, with or without
// "sha256:". What is on this host wins: a name without a registry is Docker Hub's, or else that of the
// one image here whose repository ends like that ("localhost/app" for "app").
//
// kNotFound; kInvalid when it is no name at all, and when several are meant: it lists them.
Result<FoundImage> find_image_here(const Store& store, std::string_view text);

// "sha256:" taken off, when what is left may be an id or the beginning of one.
std::optional<std::string_view> id_prefix(std::string_view text);

// Which containers use which images: what Store::mark_use() left in their directories. Also those
// that have ended.
struct ImageUse {
  std::string container;  // its id
  ImageRecord record;
};
Result<std::vector<ImageUse>> list_uses(const Store& store);

// What a container relies on from now on: `image` in its directory. The caller holds the store's lock
// shared since it has found the record.
Result<void> mark_use(const Store& store, const ImageRecord& record, const std::string& container);

}  // namespace bulkhead::storage
