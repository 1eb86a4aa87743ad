// The images of the store, as the commands on images see them: beside the store's own view, which
// containers use what.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/options.h"
#include "storage/images.h"

namespace bulkhead::engine {

// The tag `target` for the image `source`. Neither is pulled.
Result<void> tag_image(const StoreOptions& options, std::string_view source,
                       std::string_view target);

enum class ForceRemoval { kNo, kYes };

// What was done, in Docker's words: "Untagged: NAME", "Deleted: sha256:…".
using RemovalLines = std::vector<std::string>;

// By name: the name goes, and with its last name the image. By id: the image with all its names, when
// these are of one repository, or with kYes. Refused while a container uses the image, naming the
// container: kYes takes the names nevertheless, but never what a container needs.
Result<RemovalLines> remove_image(const StoreOptions& options, std::string_view name,
                                  ForceRemoval force);

// "label=a", "label!=a=b", "until=24h": as docker image prune has them.
struct PruneFilter {
  std::string key;
  std::string value;
};
struct PruneOptions {
  bool all = false;  // also images that have names
  std::vector<PruneFilter> filters;
};
struct Pruned {
  RemovalLines lines;
  std::uint64_t bytes = 0;
};
// Images without a name, and with `all` every image, that no container uses; and what belongs to
// nobody: downloads that broke off, and images by their path that no container uses.
Result<Pruned> prune_images(const StoreOptions& options, const PruneOptions& prune);

struct DiskUse {
  struct Image {
    storage::StoredImage image;
    std::uint64_t size = 0;    // files of all its layers, and its blobs
    std::uint64_t shared = 0;  // of it, what other images have as well
    std::size_t containers = 0;
  };
  struct Container {
    std::string id;
    std::string name;
    std::string image;
    std::string status;
    std::string started;
    std::uint64_t size = 0;  // that it wrote
    bool running = false;
  };
  std::vector<Image> images;
  std::vector<Container> containers;
  std::uint64_t images_bytes = 0;       // everything of images in the store, each thing once
  std::uint64_t reclaimable_bytes = 0;  // of it, what images have that no container uses
  std::uint64_t partial_bytes = 0;      // downloads that broke off
  std::uint64_t path_bytes = 0;         // layers of images by their path alone
  std::size_t path_images = 0;
};
Result<DiskUse> disk_use(const StoreOptions& options);

}  // namespace bulkhead::engine
