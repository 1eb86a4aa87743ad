// What a hostile registry serves: decoding an image's documents neither crashes nor hangs, no
// digest gets through that could name another file, and what was decoded survives a round.
#include <cstdlib>
#include <string>

#include "oci/docker_archive.h"
#include "oci/image.h"

namespace {

void check(const bulkhead::oci::Descriptor& descriptor) {
  if (descriptor.size < 0 || descriptor.digest.find('/') != std::string::npos ||
      descriptor.digest.find("..") != std::string::npos ||
      descriptor.digest.find('\0') != std::string::npos) {
    std::abort();
  }
}

template <class T, class Decode>
void check_round_trip(const T& object, Decode decode) {
  const std::string once = bulkhead::oci::encode(object);
  const auto back = decode(once);
  if (!back || bulkhead::oci::encode(*back) != once) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead::oci;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto index = decode_index(text);
  const auto manifest = decode_manifest(text);
  if (index && manifest) std::abort();
  if (index) {
    for (const Descriptor& descriptor : index->manifests) check(descriptor);
    check_round_trip(*index, decode_index);
  }
  if (manifest) {
    check(manifest->config);
    for (const Descriptor& descriptor : manifest->layers) check(descriptor);
    check_round_trip(*manifest, decode_manifest);
  }
  if (const auto images = decode_docker_archive(text)) {
    const std::string once = encode_docker_archive(*images);
    const auto back = decode_docker_archive(once);
    if (!back || encode_docker_archive(*back) != once) std::abort();
  }
  if (const auto image = decode_image_config(text)) {
    for (const std::string& digest : image->rootfs.diff_ids) {
      if (digest.find('/') != std::string::npos || digest.find("..") != std::string::npos)
        std::abort();
    }
    check_round_trip(*image, decode_image_config);
  }
  return 0;
}
