// /etc/subuid and /etc/subgid: which ranges of ids the administrator has given to which user.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::isolation {

struct IdRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  std::uint64_t end() const { return std::uint64_t{first} + count; }
  bool contains(const IdRange& other) const { return other.first >= first && other.end() <= end(); }
  bool overlaps(const IdRange& other) const { return first < other.end() && other.first < end(); }
  bool operator==(const IdRange&) const = default;
};

struct SubordinateRange {
  std::string owner;  // a user's name, or a uid in decimal
  IdRange range;
};

// The content of /etc/subuid; lines that are not "name:first:count" are skipped, as the tools of
// shadow do.
std::vector<SubordinateRange> parse_subordinate_ranges(std::string_view text);
// Of the file; an absent one holds nothing.
Result<std::vector<SubordinateRange>> read_subordinate_ranges(const char* path);

// The name of a user by /etc/passwd alone (no NSS); empty when it is not there.
std::string user_name_of(std::uint32_t uid);

}  // namespace bulkhead::isolation
