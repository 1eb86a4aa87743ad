// What the user calls an image, turned into where its bytes are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::storage {

// An image on this host: an OCI layout directory or an OCI archive (a tar of one).
struct ImageSource {
  std::string path;       // absolute
  std::string reference;  // the tag inside the layout; empty: the only image in it
  std::string name;       // as the user gave it, for messages

  // What the store remembers the image by. Neither part can contain the separator.
  std::string key() const { return path + '\n' + reference; }
};

// "busybox" (an image that came with Bulkhead: the first of `builtin_directories` that has
// busybox.tar), "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]", or a path that begins with "/", "./" or
// "../" (also with ":TAG"). kNotFound when nothing is there.
bool is_image_path(std::string_view name);  // any but the first of these
Result<ImageSource> find_image(std::string_view name,
                               const std::vector<std::string>& builtin_directories);

// The directory of this program's own executable; empty when the kernel does not say.
std::string own_directory();

// Where the images that came with Bulkhead lie, seen from its own executable.
std::vector<std::string> builtin_image_directories();

// A program that came with Bulkhead ("bulkhead-unpack"): beside the executable, or in
// ../libexec/bulkhead. kNotFound names both.
Result<std::string> find_helper(std::string_view name);

}  // namespace bulkhead::storage
