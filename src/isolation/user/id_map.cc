#include "isolation/user/id_map.h"

#include "isolation/capabilities/names.h"
#include "isolation/namespace.h"

namespace bulkhead::isolation {
namespace {

constexpr std::uint64_t kEnd = 0xFFFFFFFF;  // 4294967295 itself is no id

bool overlap(std::uint32_t a, std::uint32_t a_size, std::uint32_t b, std::uint32_t b_size) {
  return std::uint64_t{a} < std::uint64_t{b} + b_size &&
         std::uint64_t{b} < std::uint64_t{a} + a_size;
}

}  // namespace

std::optional<std::uint32_t> mapped_to_host(std::span<const oci::IdMapping> map, std::uint32_t id) {
  for (const oci::IdMapping& extent : map)
    if (id >= extent.container_id && id - extent.container_id < extent.size)
      return extent.host_id + (id - extent.container_id);
  return std::nullopt;
}

std::optional<std::uint32_t> mapped_to_container(std::span<const oci::IdMapping> map,
                                                 std::uint32_t id) {
  for (const oci::IdMapping& extent : map)
    if (id >= extent.host_id && id - extent.host_id < extent.size)
      return extent.container_id + (id - extent.host_id);
  return std::nullopt;
}

bool maps(std::span<const oci::IdMapping> map, std::uint32_t id) {
  return mapped_to_host(map, id).has_value();
}

Result<void> check_map(std::span<const oci::IdMapping> map, std::string_view where) {
  const auto at = [&](std::size_t index) {
    return std::string(where) + "/" + std::to_string(index);
  };
  if (map.size() > kMostMapExtents)
    return fail(ErrorKind::kInvalid,
                std::string(where) + ": " + std::to_string(map.size()) + " ranges",
                "the kernel takes at most 340; join neighbours");
  for (std::size_t i = 0; i < map.size(); ++i) {
    const oci::IdMapping& extent = map[i];
    if (extent.size == 0) return fail(ErrorKind::kInvalid, at(i) + ": a range of size 0");
    if (std::uint64_t{extent.container_id} + extent.size > kEnd ||
        std::uint64_t{extent.host_id} + extent.size > kEnd)
      return fail(ErrorKind::kInvalid, at(i) + ": the range goes beyond the last id, 4294967294");
    for (std::size_t j = 0; j < i; ++j) {
      const oci::IdMapping& other = map[j];
      if (overlap(extent.container_id, extent.size, other.container_id, other.size))
        return fail(ErrorKind::kInvalid, at(i) + ": overlaps with " + at(j) + " in the container");
      if (overlap(extent.host_id, extent.size, other.host_id, other.size))
        return fail(ErrorKind::kInvalid, at(i) + ": overlaps with " + at(j) + " on the host");
    }
  }
  return {};
}

std::string map_text(std::span<const oci::IdMapping> map) {
  std::string text;
  for (const oci::IdMapping& extent : map)
    text.append(std::to_string(extent.container_id) + " " + std::to_string(extent.host_id) + " " +
                std::to_string(extent.size) + "\n");
  return text;
}

MapWriter writer_of(std::span<const oci::IdMapping> map, std::uint32_t own_id,
                    const HostFacts& host) {
  if (host.has_capability(kCapSetUid) && host.has_capability(kCapSetGid)) return MapWriter::kParent;
  const bool own_id_alone = map.size() == 1 && map[0].size == 1 && map[0].host_id == own_id;
  return own_id_alone ? MapWriter::kOwnId : MapWriter::kHelper;
}

bool may_set_groups(const Request& request, const HostFacts& host) {
  if (host.setgroups_denied) return false;  // inherited by every namespace below
  if (!lists_namespace(request, oci::NamespaceType::kUser)) return true;
  const auto& map = request.spec.linux_.gid_mappings;
  return map.empty() || writer_of(map, host.egid, host) != MapWriter::kOwnId;
}

}  // namespace bulkhead::isolation
