// The store's memory of an image: everything that a start or a listing needs of it in one small file,
// so that the warm path neither parses a manifest nor hashes anything. Written when all of the image
// is in place. That of an image by its path holds for as long as its source is the same file.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::storage {

// A SHA-256 digest as 64 lower-case hexadecimal digits, without the "sha256:" before it.
bool is_hex_digest(std::string_view text);

// Which file it was that the image was read from. A file that was replaced or written to since then
// differs in at least one of these.
struct SourceIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t changed_seconds = 0;  // ctime: unlike mtime, nobody can set it
  std::int64_t changed_nanoseconds = 0;

  static SourceIdentity of(const struct stat& status);
  bool operator==(const SourceIdentity&) const = default;
};

struct ImageRecord {
  // Of an image that is read from a path, and not kept by the store itself: ImageSource::key(), and
  // which file it was. Both empty for the store's own images.
  std::string key;
  SourceIdentity identity;

  std::string manifest_digest;      // hex
  std::string config_digest;        // hex; what users know as the image's id
  std::string created;              // as the configuration says, RFC 3339; may be empty
  std::uint64_t size = 0;           // bytes of the files in its layers
  std::vector<std::string> layers;  // diff ids as hex, the lowest first
  std::vector<std::string> blobs;  // of the layers, likewise; empty when the store has not got them
  // One more layer above all, of the store's own (unpack/implied_directories.h); may be empty.
  std::string implied = {};
  std::string config;  // the image configuration as JSON
};

std::string encode(const ImageRecord& record);
// kInvalid for anything that encode() does not write: the record is then made anew.
Result<ImageRecord> decode_record(std::string_view text);

// The record's file name under images/: a hash of the key that need not be collision-free, because
// the record holds its whole key.
std::string record_file_name(std::string_view key);

}  // namespace bulkhead::storage
