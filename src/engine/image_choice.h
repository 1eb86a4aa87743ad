// Which image `run` means, and that it is there.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/store.h"
#include "sys/fd.h"

namespace bulkhead::engine {

struct ChosenImage {
  storage::ImageRecord record;
  // The store's, shared: until it is closed nobody removes the image. storage::mark_use() comes first.
  Fd lock;
};

// A path ("oci:", "oci-archive:", "/", "./", "../"), a name or id of the store, or an image that came
// with Bulkhead. The store's image of a name wins over one that came with Bulkhead. What is not yet
// unpacked is unpacked.
enum class Pull {
  kNever,
  kMissing,  // when it is none of these
  kAlways,   // first, unless it is a path: the tag may mean something else by now
};
Result<Pull> pull_policy(const std::string& text);  // of --pull

// `journal`: where a pull is recorded (events_directory()).
Result<ChosenImage> choose_image(const storage::Store& store, const std::string& journal,
                                 const std::string& name, Pull pull);

// For a command on images: an image that came with Bulkhead and has not been named before is taken into the
// store, where the command finds it as it finds any other. Nothing happens for other names.
Result<void> take_builtin_image(const storage::Store& store, std::string_view name);

}  // namespace bulkhead::engine
