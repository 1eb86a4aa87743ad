// Where an image's blobs are read from: an OCI layout directory, or a tar of one (oci-archive), whose
// content is found by its headers and never unpacked.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/record.h"
#include "sys/fd.h"

namespace bulkhead::storage {

// A part of an open file.
struct Extent {
  int fd = -1;  // owned by `owner` or by the BlobSource
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  Fd owner;
};

class BlobSource {
 public:
  // An OCI layout or an archive of one; kUnsupported for other archives.
  static Result<BlobSource> open(const std::string& path);
  // The same, or an archive as `docker save` makes it: of a directory or a regular file.
  static Result<BlobSource> adopt(Fd file, const std::string& name);

  bool has(const std::string& name) const;

  // Which file this is: of index.json in a directory. Asked before and after the reading.
  Result<SourceIdentity> identity() const;

  // "index.json", "oci-layout", "blobs/sha256/<hex>". Only regular files, never through a link that
  // leads out of the layout. The extent is valid for as long as the source is.
  Result<Extent> find(const std::string& name) const;

  // The whole of a small document.
  Result<std::string> read(const std::string& name, std::size_t limit) const;
  // As read(), and its SHA-256 must be `hex`.
  Result<std::string> read_blob(std::string_view hex, std::size_t limit) const;

 private:
  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  Result<void> index_archive();

  Fd file_;
  bool is_directory_ = false;
  std::map<std::string, Place, std::less<>> places_;       // of an archive
  std::map<std::string, std::string, std::less<>> links_;  // likewise: symbolic links
};

// read(2) at an offset until `size` bytes; an end of file before that is an error.
Result<std::string> read_extent(const Extent& extent, std::size_t limit);

}  // namespace bulkhead::storage
