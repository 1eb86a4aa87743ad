// Makes OCI layouts for tests, honest and damaged ones. Included by tests only.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "storage/unpack/digest.h"
#include "storage/unpack/select_manifest.h"
#include "sys/file.h"

namespace bulkhead::storage::testing {

inline std::string sha256(const std::string& bytes) {
  Sha256 digest;
  digest.update(bytes.data(), bytes.size());
  return digest.hex();
}

inline void write_file(const std::string& path, const std::string& content) {
  const Fd file(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644));
  (void)write_all(file.get(), content.data(), content.size());
}

struct LayoutLayer {
  std::string tar;
  std::string blob;  // the tar itself, or compressed
  std::string media_type = "application/vnd.oci.image.layer.v1.tar";
};

inline LayoutLayer plain_layer(std::string tar) {
  LayoutLayer layer;
  layer.blob = tar;
  layer.tar = std::move(tar);
  return layer;
}

// A layout with one image. The texts can be changed before write().
struct Layout {
  std::string directory;
  std::string config;
  std::string manifest;
  std::string index;
  std::vector<LayoutLayer> layers;

  Layout(std::string where, std::vector<LayoutLayer> from)
      : directory(std::move(where)), layers(std::move(from)) {
    std::string diff_ids;
    std::string descriptors;
    for (const LayoutLayer& layer : layers) {
      diff_ids += (diff_ids.empty() ? "" : ",") + ("\"sha256:" + sha256(layer.tar) + "\"");
      descriptors += (descriptors.empty() ? "" : ",") + descriptor(layer.media_type, layer.blob);
    }
    config = "{\"architecture\":\"" + std::string(own_architecture()) +
             "\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"sh\"]},\"rootfs\":{\"type\":\"layers\","
             "\"diff_ids\":[" +
             diff_ids + "]}}";
    manifest =
        "{\"schemaVersion\":2,\"mediaType\":\"application/"
        "vnd.oci.image.manifest.v1+json\",\"config\":" +
        descriptor("application/vnd.oci.image.config.v1+json", config) + ",\"layers\":[" +
        descriptors + "]}";
    index = index_of(manifest);
  }

  static std::string descriptor(const std::string& type, const std::string& blob,
                                const std::string& more = "") {
    return "{\"mediaType\":\"" + type + "\",\"digest\":\"sha256:" + sha256(blob) +
           "\",\"size\":" + std::to_string(blob.size()) + more + "}";
  }
  static std::string index_of(const std::string& manifest) {
    return "{\"schemaVersion\":2,\"manifests\":[" +
           descriptor("application/vnd.oci.image.manifest.v1+json", manifest,
                      ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"latest\"}") +
           "]}";
  }
  std::string blob_path(const std::string& blob) const {
    return directory + "/blobs/sha256/" + sha256(blob);
  }

  void write() const {
    for (const char* part : {"", "/blobs", "/blobs/sha256"})
      ::mkdir((directory + part).c_str(), 0755);
    write_file(directory + "/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    write_file(directory + "/index.json", index);
    for (const std::string* blob : {&config, &manifest}) write_file(blob_path(*blob), *blob);
    for (const LayoutLayer& layer : layers) write_file(blob_path(layer.blob), layer.blob);
  }
};

}  // namespace bulkhead::storage::testing
