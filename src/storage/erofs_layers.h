// Layers as EROFS images: what snapshotter.h promises of them.
#pragma once

#include "storage/snapshotter.h"

namespace bulkhead::storage {

// A detached copy of one directory's mount, idmapped when `user_namespace` is not -1.
SysResult<Fd> clone_layer_directory(int store, const char* path, int user_namespace) noexcept;

enum class ErofsMethod {
  kAutomatic,   // the first, or where the kernel has not got it the second
  kFromFile,    // Linux 6.12; with direct I/O 6.14
  kLoopDevice,  // read-only, dissolved by the kernel with the mount
};

// The image `path` beneath `store`, mounted by a superblock of its own.
SysResult<Fd> mount_erofs_image(int store, const char* path, Layers::Reading reading,
                                ErofsMethod method = ErofsMethod::kAutomatic) noexcept;

class ErofsLayers final : public Snapshotter {
 public:
  explicit ErofsLayers(Layers::Reading reading) : reading_(reading) {}
  // Executes bulkhead-unpack for images that are not there yet.
  Result<void> prepare(const Store& store, const std::vector<std::string>& layers) const override;
  SysResult<Fd> mount_layer(int store, const char* layer,
                            int user_namespace) const noexcept override;

 private:
  Layers::Reading reading_;
};

}  // namespace bulkhead::storage
