// Rootfs: the container's root file system as a mount of its own.
//
// Stops:         every later step from ever naming a path of the container through the host's tree:
//                the root is a descriptor from here on, and all is resolved beneath it.
// Does not stop: anything by itself; root_switch makes it the process's root.
// Kernel:        open_tree(OPEN_TREE_CLONE), move_mount, Linux 5.2; mount(MS_BIND) where those are
//                refused.
// Order:         after the mount namespace, in which it is attached; before all mounts beneath it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "isolation/layer.h"

namespace bulkhead::isolation {

struct RootfsPlan {
  std::string path;  // on the host, absolute; for people when the parent hands the mount over
  // The number of the parent's mount that is the root: how the engine gives an idmapped overlay,
  // and how a user namespace gets a root whose path only the host's root may walk.
  std::optional<std::size_t> parent_mount;
};

struct Rootfs {
  static constexpr std::string_view kName = "root file system";
  static constexpr Card kCard{
      "later steps from naming the container's files through the host's paths",
      "anything by itself; the root switch makes it the process's root",
      "open_tree and move_mount, Linux 5.2; mount(MS_BIND) where those are refused",
      "after the mount namespace, in which it is attached; before all mounts beneath it"};
  using Plan = RootfsPlan;
  using After = LayerList<struct MountNamespace>;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

// Whether the root and the bind sources are opened by the parent: a new user namespace has no right
// to walk the host's private directories (/root, /var/lib/...), the privileged parent has.
bool parent_opens_sources(const Request& request, const HostFacts& host);

}  // namespace bulkhead::isolation
