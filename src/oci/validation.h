// What the parts of the validation share.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/text.h"
#include "json/pointer.h"
#include "oci/spec.h"

namespace bulkhead::oci {

inline std::unexpected<Error> invalid(const json::Place& place, std::string_view what,
                                      std::string hint) {
  return fail(ErrorKind::kInvalid, place.text().append(" ").append(what), std::move(hint));
}

inline bool is_absolute(std::string_view path) { return path.starts_with('/'); }

// `path` has a component "..".
inline bool climbs(std::string_view path) {
  while (!path.empty()) {
    if (next_field(path, '/') == "..") return true;
  }
  return false;
}

// Whether `text` is made of `allowed` characters only.
inline bool only(std::string_view text, std::string_view allowed) {
  return text.find_first_not_of(allowed) == std::string_view::npos;
}

// The index of an item whose key an earlier item has, in O(n log n).
template <class Items, class Key>
std::optional<std::size_t> duplicate_in(const Items& items, Key key) {
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto before = [&](std::size_t a, std::size_t b) {
    const auto &left = key(items[a]), &right = key(items[b]);
    return left < right || (left == right && a < b);
  };
  std::sort(order.begin(), order.end(), before);
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (key(items[order[i - 1]]) == key(items[order[i]])) return order[i];
  }
  return std::nullopt;
}

// A name that the kernel takes for a network interface: 1 to 15 bytes, no slash, colon or space.
bool is_interface_name(std::string_view name);

// No id is 4294967295: to the kernel it is -1, "leave as it is".
inline constexpr std::uint32_t kNoId = 0xFFFFFFFF;

Result<void> validate_id_mappings(const std::vector<IdMapping>& mappings, const json::Place& place);
Result<void> validate_process_at(const Process& process, const json::Place& place);
Result<void> validate_resources_at(const Resources& resources, const json::Place& place);
Result<void> validate_linux_at(const Spec& spec, const json::Place& place);

}  // namespace bulkhead::oci
