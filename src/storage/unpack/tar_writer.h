// Writing a tar of plain files, owned by root and dated at the epoch, so that the same images give the
// same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::storage {

class PlainTar {
 public:
  // Does not own the descriptor.
  explicit PlainTar(int output) : output_(output) {}

  // `name` has at most 100 bytes. The caller then writes exactly `size` bytes to the output itself, and
  // calls end_file().
  Result<void> begin_file(std::string_view name, std::uint64_t size);
  Result<void> end_file(std::uint64_t size);
  Result<void> add_file(std::string_view name, std::string_view content);
  Result<void> add_directory(std::string_view name);  // "blobs/"
  Result<void> finish();

 private:
  Result<void> header(std::string_view name, char type, unsigned mode, std::uint64_t size);
  int output_;
};

}  // namespace bulkhead::storage
