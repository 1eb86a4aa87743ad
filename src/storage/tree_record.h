// What a layer looked like when it had been unpacked and verified: kept beside it, so that
// `system check` can tell whether it still looks like that without unpacking it again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::storage {

struct TreeRecord {
  std::uint64_t entries = 0;  // the layer's own directory included
  std::uint64_t bytes = 0;    // of regular files; a file of several names counts once
  // SHA-256 over all entries in the order of their names: type, mode, owner, size, modification time,
  // target of a link, extended attributes, which names are one file. Not the content of files: their
  // blob has a digest for it, and to hash them here would cost each pull a third of its time.
  std::string digest;
  // Directories that the layer writes in without having an entry for them, "" for the top; sorted. What
  // they are is for the layers below to say (unpack/implied_directories.h). Absent in records of before.
  std::vector<std::string> implied = {};

  bool operator==(const TreeRecord&) const = default;
};
// Of all paths in `implied`, with one more for each.
inline constexpr std::size_t kMostImpliedBytes = 8 << 20;
// A path of a directory beneath a layer, as these are: neither absolute nor leading up; or "".
bool is_layer_path(std::string_view path);

std::string encode(const TreeRecord& record);
Result<TreeRecord> decode_tree_record(std::string_view text);

// Nothing when there is none, or when it is not whole.
Result<std::optional<TreeRecord>> read_tree_record(int store, std::string_view diff_id);

}  // namespace bulkhead::storage
