// user namespace: the container's ids and capabilities are worth nothing outside of it.
//
// Stops:    root in the container being root on the host: its ids are unprivileged ones there, and
//           its capabilities count only for what the namespace owns.
// Does not: hide the part of the kernel that namespaced root can reach; protect files on the host
//           that the mapped ids own; separate containers that share a range of ids.
// Kernel:   CLONE_NEWUSER, Linux 3.8; 340 ranges 4.15; newuidmap and newgidmap for users without
//           privilege.
// Order:    first: every other namespace is to be owned by it. launch/ clones the child into it; this
//           layer waits until the parent has written the maps (id_maps.h) and then takes the
//           namespace's root id, so that what the set-up makes belongs to the container.
#pragma once

#include <sys/types.h>

#include "isolation/namespace.h"
#include "isolation/user/id_map.h"

namespace bulkhead::isolation {

struct UserNamespace {
  static constexpr std::string_view kName = "user namespace";
  static constexpr Card kCard{
      .stops = "root in the container being root on the host",
      .does_not_stop = "attacks on the kernel that namespaced root can reach; sharing of id ranges",
      .kernel = "clone3(CLONE_NEWUSER), Linux 3.8; setns",
      .order = "first: every other namespace is owned by it",
  };
  using After = LayerList<>;

  struct Plan : NamespacePlan {
    std::vector<oci::IdMapping> uid_map;  // empty: joined by path without saying its maps
    std::vector<oci::IdMapping> gid_map;
    MapWriter uid_writer = MapWriter::kParent;
    MapWriter gid_writer = MapWriter::kParent;
    // Who sets the container up: root of the namespace; where 0 is not mapped, the program's user.
    uid_t setup_uid = 0;
    gid_t setup_gid = 0;
    // Whether apply waits for the parent: for the maps of a new namespace; in one that is joined by
    // path, for what only the parent may do (Rlimits::from_parent and its like).
    bool waits_for_parent() const {
      return wish == NamespaceWish::kNew || wish == NamespaceWish::kPath;
    }
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
