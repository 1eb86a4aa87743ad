// Where the compressed bytes of a layer come from: a part of a file, or a pipe or socket that
// somebody writes into while it is unpacked. What passes may be kept, so that a download that breaks
// off can be taken up again.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "storage/unpack/blob_source.h"

namespace bulkhead::storage {

// None of the descriptors is owned.
struct LayerSource {
  int fd = -1;
  std::optional<std::uint64_t> offset;  // of a file; without it, `fd` is read in sequence
  std::uint64_t size = 0;               // of the whole blob, as its descriptor in the manifest says
  // Open for reading and writing; receives each byte at its place in the blob.
  int keep = -1;
  // How many of the blob's first bytes `keep` has already: they are read from there, and `fd` begins
  // behind them.
  std::uint64_t kept = 0;

  static LayerSource of(const Extent& extent) {
    return {.fd = extent.fd, .offset = extent.offset, .size = extent.size};
  }
};

// Reads a LayerSource from its beginning to its end, in one direction.
class LayerReader {
 public:
  // `stop` becomes readable when nobody wants the rest any more.
  LayerReader(const LayerSource& source, int stop) : source_(source), stop_(stop) {}

  // The next bytes; none at the end. kInvalid when there are more bytes than `size`, kSystem when
  // the source ended before, and whatever `keep` could not take.
  Result<std::size_t> read(void* buffer, std::size_t room);

 private:
  Result<std::size_t> read_kept(void* buffer, std::size_t room);
  Result<std::size_t> read_sequence(void* buffer, std::size_t room);
  Result<std::size_t> read_extent(void* buffer, std::size_t room);

  const LayerSource& source_;
  int stop_;
  std::uint64_t done_ = 0;
};

}  // namespace bulkhead::storage
