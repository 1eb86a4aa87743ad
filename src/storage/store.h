// The image store: <root>/images (records), <root>/blobs/sha256 (manifests and configurations),
// <root>/layers/<diff id> (unpacked layers in overlay form), <root>/containers/<id> (what containers
// wrote). Reading is free of locks, hashing and syncing: everything gets its name by one rename,
// after it is whole and verified. Writing is the unpacker's (unpack/), one at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/image_name.h"
#include "storage/record.h"
#include "sys/fd.h"

namespace bulkhead::storage {

class Store {
 public:
  // Makes the directory, with mode 0700, when there is none. Refused when others than its owner may
  // write to it, or when it is not ours: whoever can change a layer owns every container.
  static Result<Store> open(const std::string& root);

  int get() const noexcept { return directory_.get(); }
  const std::string& path() const noexcept { return path_; }

  // What the store remembers of the image; nothing when it does not know it, when its source has
  // changed since, or when a layer of it is gone.
  Result<std::optional<ImageRecord>> find(const ImageSource& source) const;

  // find(), or else executes the unpacker and then find(). `unpacker`: empty for the one that came
  // with Bulkhead.
  Result<ImageRecord> get_image(const ImageSource& source, const std::string& unpacker = {}) const;

 private:
  Store(Fd directory, std::string path)
      : directory_(std::move(directory)), path_(std::move(path)) {}
  Fd directory_;
  std::string path_;
};

// "layers/<diff id>", relative to the store's directory.
std::string layer_path(std::string_view diff_id);
// The lower layers of an image from the top down, as overlayfs wants them; an image without layers
// has one empty directory.
std::vector<std::string> lower_paths(const ImageRecord& record);
inline constexpr const char* kEmptyLayer = "layers/empty";

}  // namespace bulkhead::storage
