// Writing a tar of files of every kind, for whatever reads POSIX archives: ustar headers, and before them
// PAX ones where ustar has no room: long names, large numbers, fractions of seconds, extended attributes.
// Files with holes are written as GNU tar does since 1.16 (sparse format 1.0).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/tar/tar_reader.h"

namespace bulkhead::storage {

class TarStream {
 public:
  // Does not own the descriptor.
  explicit TarStream(int output) : output_(output) {}

  // What has no content. A directory's path gets its slash here.
  Result<void> add(const TarEntry& entry);

  // A file of entry.size bytes. Where it has content: `extents`, in order; everything is, without them.
  // Then come exactly these bytes by content(), and end_file().
  Result<void> begin_file(const TarEntry& entry, std::span<const TarExtent> extents);
  Result<void> content(std::string_view bytes);
  Result<void> end_file();

  Result<void> finish();
  std::uint64_t written() const { return written_; }

 private:
  Result<void> headers(const TarEntry& entry, std::string_view name, std::uint64_t stored,
                       std::string records);
  Result<void> header(const TarEntry& entry, char type, std::string_view name,
                      std::uint64_t stored);
  Result<void> put(std::string_view bytes);
  Result<void> flush();
  Result<void> pad();

  int output_;
  std::string buffer_;
  std::uint64_t written_ = 0;
};

}  // namespace bulkhead::storage
