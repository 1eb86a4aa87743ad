// One entry of a tar in the POSIX pax format: the header, with an extended one before it for what does not
// fit. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bulkhead::volumes {

struct TarEntry {
  std::string name;  // directories end with "/"
  char type = '0';
  unsigned mode = 0;
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::uint64_t size = 0;
  std::int64_t modified = 0;
  std::uint32_t modified_nanoseconds = 0;
  std::string link = {};
  unsigned device_major = 0;
  unsigned device_minor = 0;
  std::vector<std::pair<std::string, std::string>> attributes = {};
};

inline constexpr std::size_t kTarBlock = 512;

// Whole blocks; the content follows, padded to a whole block.
std::string tar_header(const TarEntry& entry);

}  // namespace bulkhead::volumes
