// The image store:
//
//   images/<manifest>          record of one image (record.h), whole when it is there
//   references/<name>/<tag>    names: symbolic links to these (image_names.h)
//   sources/<hash of path>     records of images that are read from a path; they have no blobs here
//   blobs/sha256/<hex>         manifests, indexes, configurations and compressed layers, each with its
//                              original bytes
//   blobs/partial/<hex>        downloads that broke off
//   layers/<diff id>           unpacked layers in overlay form
//   trees/<diff id>            what was found in a layer when it had been unpacked (tree_record.h)
//   staging/<random>           what an image in the making has so far, and relies on (ingest.h)
//   claims/<diff id>           locks on layers that are being made
//   trash/<random>             what is being deleted
//   containers/<id>            what a container wrote; `image` there is the record that it uses
//
// Reading is free of hashing and syncing: everything gets its name by one rename, after it is whole and
// verified. The order is always the same: layers and blobs, then the record, then the names; taken
// away in the opposite order. So whatever moment a process is killed at, a name leads to something
// whole or to nothing, and what is left over belongs to nobody (collect.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/image_name.h"
#include "storage/layout.h"
#include "storage/record.h"
#include "storage/reference.h"
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
  // The image by its manifest (hex); nothing when there is none. Its layers need not be there.
  Result<std::optional<ImageRecord>> find_manifest(std::string_view manifest) const;
  // The image by a whole name; nothing when no image has it.
  Result<std::optional<ImageRecord>> find_name(const Reference& reference) const;

  // find(), or else executes the unpacker and then find(). `unpacker`: empty for the one that came
  // with Bulkhead.
  Result<ImageRecord> get_image(const ImageSource& source, const std::string& unpacker = {}) const;

  bool has_layers(const ImageRecord& record) const;

 private:
  Store(Fd directory, std::string path)
      : directory_(std::move(directory)), path_(std::move(path)) {}
  Fd directory_;
  std::string path_;
};

// The lower layers of an image from the top down, as overlayfs wants them; an image without layers
// has one empty directory.
std::vector<std::string> lower_paths(const ImageRecord& record);

}  // namespace bulkhead::storage
