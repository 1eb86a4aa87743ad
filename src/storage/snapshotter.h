// How the layers of an image are kept and become mounts: the one thing in which the ways to make a
// snapshot differ. Everything else (the overlay above, its upper directory, the limit) is the same.
//
//   directories  layers/<diff id>, as the unpacker leaves them; one page cache for all containers
//   EROFS        layers-erofs/<diff id>.erofs, made from these when first asked for; each container
//                mounts the file itself, and with kDirect reads it around the file's page cache, so
//                that it shares no cached page of any file's content with another container
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/error.h"
#include "sys/fd.h"

namespace bulkhead::storage {

class Store;

enum class LayerForm { kDirectory, kErofs };

struct Layers {
  LayerForm form = LayerForm::kDirectory;
  enum class Reading { kCached, kDirect } reading = Reading::kCached;
  bool operator==(const Layers&) const = default;
};

// As in --storage: "overlay", "erofs"; with kDirect "erofs, direct I/O".
std::string describe(const Layers& layers);

class Snapshotter {
 public:
  virtual ~Snapshotter() = default;
  // Makes what the layers lack in the store: after this, mount_layer() works for each of them.
  virtual Result<void> prepare(const Store& store,
                               const std::vector<std::string>& layers) const = 0;
  // One layer as a detached mount, seen through the maps of `user_namespace` (-1: none). `layer` must
  // outlive the error.
  virtual SysResult<Fd> mount_layer(int store, const char* layer,
                                    int user_namespace) const noexcept = 0;
};

// Lives as long as the program.
const Snapshotter& snapshotter_of(const Layers& layers);

// "layers-erofs/<diff id>.erofs" of "layers/<diff id>".
std::string erofs_image_path(std::string_view layer);
inline constexpr const char* kErofsDirectory = "layers-erofs";

}  // namespace bulkhead::storage
