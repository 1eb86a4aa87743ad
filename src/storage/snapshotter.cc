#include "storage/snapshotter.h"

#include "storage/erofs_layers.h"
#include "sys/mount_api.h"

namespace bulkhead::storage {
namespace {

class DirectoryLayers final : public Snapshotter {
 public:
  Result<void> prepare(const Store&, const std::vector<std::string>&) const override { return {}; }
  SysResult<Fd> mount_layer(int store, const char* layer,
                            int user_namespace) const noexcept override {
    return clone_layer_directory(store, layer, user_namespace);
  }
};

}  // namespace

std::string describe(const Layers& layers) {
  if (layers.form == LayerForm::kDirectory) return "overlay";
  return layers.reading == Layers::Reading::kDirect ? "erofs, direct I/O" : "erofs";
}

SysResult<Fd> clone_layer_directory(int store, const char* path, int user_namespace) noexcept {
  MountAttributes attributes;
  if (user_namespace >= 0) {
    attributes.set = MOUNT_ATTR_IDMAP;
    attributes.user_namespace = user_namespace;
  }
  return clone_tree_with(store, path, Recursion::kThisMount, attributes);
}

const Snapshotter& snapshotter_of(const Layers& layers) {
  static const DirectoryLayers directories;
  static const ErofsLayers cached(Layers::Reading::kCached);
  static const ErofsLayers direct(Layers::Reading::kDirect);
  if (layers.form == LayerForm::kDirectory) return directories;
  return layers.reading == Layers::Reading::kDirect ? direct : cached;
}

}  // namespace bulkhead::storage
