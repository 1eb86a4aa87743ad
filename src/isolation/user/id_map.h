// Maps of ids between a user namespace and the one around it: the only bridge between a container's
// ids and the host's. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "isolation/host_facts.h"
#include "isolation/request.h"
#include "oci/spec.h"

namespace bulkhead::isolation {

inline constexpr std::size_t kMostMapExtents = 340;  // Linux 4.15; 5 before

// Whether the container's id `id` has a counterpart on the host.
bool maps(std::span<const oci::IdMapping> map, std::uint32_t id);
std::optional<std::uint32_t> mapped_to_host(std::span<const oci::IdMapping> map, std::uint32_t id);
std::optional<std::uint32_t> mapped_to_container(std::span<const oci::IdMapping> map,
                                                 std::uint32_t id);

template <class Host, class Container>
class IdMap {
 public:
  IdMap() = default;
  explicit IdMap(std::span<const oci::IdMapping> extents) : extents_(extents) {}

  std::optional<Host> to_host(Container id) const {
    const auto number = mapped_to_host(extents_, id.value());
    return number ? std::optional(Host(*number)) : std::nullopt;
  }
  std::optional<Container> to_container(Host id) const {
    const auto number = mapped_to_container(extents_, id.value());
    return number ? std::optional(Container(*number)) : std::nullopt;
  }

 private:
  std::span<const oci::IdMapping> extents_;  // not owned
};
using UidMap = IdMap<HostUid, ContainerUid>;
using GidMap = IdMap<HostGid, ContainerGid>;

// What the kernel would refuse with a bare EINVAL: empty, overflowing or overlapping extents, or
// too many. `where` is a JSON pointer.
Result<void> check_map(std::span<const oci::IdMapping> map, std::string_view where);

// As /proc/PID/uid_map wants it, one extent a line.
std::string map_text(std::span<const oci::IdMapping> map);

// Who writes a map.
enum class MapWriter {
  kParent,  // the parent itself, which holds CAP_SETUID and CAP_SETGID
  kHelper,  // newuidmap or newgidmap, which check /etc/subuid and /etc/subgid
  kOwnId,   // the parent, unprivileged: its own id alone may be mapped without a helper
};
MapWriter writer_of(std::span<const oci::IdMapping> map, std::uint32_t own_id,
                    const HostFacts& host);

// Whether the processes of the container may call setgroups(2). An unprivileged parent that maps
// its own group id alone must forbid it: dropping a group could otherwise open what is denied to
// it.
bool may_set_groups(const Request& request, const HostFacts& host);

}  // namespace bulkhead::isolation
