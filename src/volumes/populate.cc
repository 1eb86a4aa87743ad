#include "volumes/populate.h"

#include <fcntl.h>
#include <linux/openat2.h>

#include "base/text.h"
#include "storage/layout.h"
#include "storage/snapshot.h"
#include "sys/file.h"
#include "sys/random.h"
#include "sys/root_dir.h"
#include "volumes/copy_tree.h"
#include "volumes/fill.h"
#include "volumes/space.h"
#include "volumes/volumes.h"

namespace bulkhead::volumes {
namespace {

// The image's root as the container will see it, mounted nowhere, for as long as this lives.
class ImageView {
 public:
  ImageView(int store, std::string place) : store_(store) {
    snapshot_.store = store;
    snapshot_.container = std::move(place);
    snapshot_.upper = storage::Upper::kDiscarded;
  }
  ImageView(const ImageView&) = delete;
  ImageView& operator=(const ImageView&) = delete;
  ~ImageView() {
    mounted_ = {};
    (void)storage::remove_container_directory(store_, snapshot_.container);
  }

  Result<void> open(const std::vector<std::string>& layers) {
    snapshot_.layers = layers;
    TRY(storage::make_container_directory(store_, snapshot_.container));
    TRY(storage::make_upper(snapshot_, HostUid(0), HostGid(0)));
    TRY_ASSIGN(mounted_, storage::mount_snapshot(snapshot_, -1));
    return {};
  }
  int root() const { return mounted_.get(); }

 private:
  int store_;
  storage::Snapshot snapshot_;
  storage::MountedSnapshot mounted_;
};

}  // namespace

Result<std::uint64_t> populate(int store, const Volume& volume,
                               const std::vector<std::string>& layers,
                               const std::string& destination) {
  TRY_ASSIGN(const Space space, open_space(store, volume, Access::kFill));
  TRY_ASSIGN(const bool empty, is_empty(space.data.get()));
  if (!empty) return 0;
  // In the volume's own directory, which is locked: what is left when we are killed goes with the next use.
  TRY_ASSIGN(const std::string random, random_name());
  ImageView image(store, volume_path(volume.name) + "/" + std::string(kFillingPrefix) + random);
  TRY_WITHIN("the image of the volume " + quoted(volume.name), image.open(layers));
  const RootDir root(image.root());
  const auto source = root.open(destination.c_str(), O_RDONLY | O_DIRECTORY);
  if (!source) {
    // Where the image has nothing, or a file, there is nothing to copy.
    if (source.error().error == ENOENT || source.error().error == ENOTDIR) return 0;
    return std::unexpected(Error(source.error()).within("the image's " + quoted(destination)));
  }
  std::uint64_t left_out = 0;
  auto filled = fill(space.root.get(), space.data.get(), [&](int target) -> Result<void> {
    TRY_ASSIGN(const CopyReport report, copy_tree(source->get(), target));
    left_out = report.left_out;
    return {};
  });
  if (!filled)
    return std::unexpected(std::move(filled).error().within(
        "filling the volume " + quoted(volume.name) + " with the image's " + quoted(destination)));
  return left_out;
}

}  // namespace bulkhead::volumes
