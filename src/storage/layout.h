// Where things are in the store; see store.h for what they are. All paths are relative to its directory.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::storage {

inline constexpr const char* kLockFile = "lock";
inline constexpr const char* kImages = "images";
inline constexpr const char* kReferences = "references";
inline constexpr const char* kSources = "sources";
inline constexpr const char* kBlobs = "blobs/sha256";
inline constexpr const char* kPartialBlobs = "blobs/partial";
inline constexpr const char* kLayers = "layers";
inline constexpr const char* kErofsLayers = "layers-erofs";
inline constexpr const char* kTrees = "trees";
inline constexpr const char* kClaims = "claims";
inline constexpr const char* kStaging = "staging";
inline constexpr const char* kTrash = "trash";
inline constexpr const char* kSpareTrash = "spare";  // always there
inline constexpr const char* kContainers = "containers";
// The lower layer of an image that has none.
inline constexpr const char* kEmptyLayerName = "empty";
inline constexpr const char* kEmptyLayer = "layers/empty";

inline std::string path_in(std::string_view directory, std::string_view name) {
  std::string path(directory);
  path += '/';
  path += name;
  return path;
}

inline std::string image_path(std::string_view manifest) { return path_in(kImages, manifest); }
inline std::string blob_path(std::string_view hex) { return path_in(kBlobs, hex); }
inline std::string partial_blob_path(std::string_view hex) { return path_in(kPartialBlobs, hex); }
inline std::string layer_path(std::string_view diff_id) { return path_in(kLayers, diff_id); }
inline std::string tree_path(std::string_view diff_id) { return path_in(kTrees, diff_id); }

}  // namespace bulkhead::storage
