// The headers of an OCI archive: enough of tar to find its members by name without unpacking them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace bulkhead::storage {

struct TarMember {
  std::string name;
  std::uint64_t offset = 0;  // of the content
  std::uint64_t size = 0;
  bool regular = false;
  std::string link = {};  // the target of a symbolic link; empty for everything else
};

class TarHeaders {
 public:
  // Does not own the descriptor, which must be of a regular file.
  explicit TarHeaders(int fd) : fd_(fd) {}
  // Nothing at the end mark or at the end of the file. kInvalid for a wrong checksum and for members
  // that lie outside of the file. OCI archives need neither long names nor sizes over 8 GiB in
  // extended headers: one that gives a name or a size so is kUnsupported, never misread.
  Result<std::optional<TarMember>> next();

 private:
  int fd_;
  std::uint64_t at_ = 0;
  std::uint64_t file_size_ = 0;
};

}  // namespace bulkhead::storage
