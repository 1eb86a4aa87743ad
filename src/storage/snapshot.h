// A container's root file system: the image's layers, shared and read-only, beneath a directory of the
// container's own, as one overlay mount. Each layer is idmapped to the container's user namespace, so
// that its files belong to the container's users without being copied; the upper directory belongs to
// the mapped root.
//
// Linux 5.19 allows idmapped layers in an overlay. 6.15 takes detached mounts as layers, by
// descriptor. Before that a layer must be attached to the caller's mount namespace, so a short-lived
// process with a private one assembles the overlay and hands it back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "storage/size_limit.h"
#include "storage/snapshotter.h"
#include "sys/fd.h"

namespace bulkhead::storage {

// What overlayfs stacks (OVL_MAX_STACK).
inline constexpr std::size_t kMostLowerLayers = 500;

struct Snapshot {
  int store = -1;                   // the store's directory; all paths are relative to it
  std::vector<std::string> layers;  // "layers/<diff id>", from the top down; at least one
  std::string container;            // "containers/<id>"
  Upper upper = Upper::kKept;
  Layers form;                     // how the layers become mounts
  std::optional<SizeLimit> limit;  // of what the container may write

  // The file system that upper/ and work/ lie on, detached, where that is one of their own (an image
  // file or a tmpfs); empty: they lie in the container's directory. Set by make_upper().
  Fd space;
};

// Makes the container's directory, empty. kExists when there is one.
Result<void> make_container_directory(int store, const std::string& container);

// Makes upper/ and work/, in the container's directory or in a space of their own, with the limit in
// force. The root directory of the container gets the mode and owner that the image's topmost layer
// gives it, with the ids moved up to `uid` and `gid`. `uid`, which no other container has, is the
// project's number, too, where the limit is a project quota.
Result<void> make_upper(Snapshot& snapshot, HostUid uid, HostGid gid);

// Which way to assemble the overlay; kAutomatic tries the first and, where the kernel has not got it,
// takes the second.
enum class OverlayMethod { kAutomatic, kDetachedLayers, kPrivateNamespace };

// The overlay, and the copies of its layers' mounts that it was made of. It needs them no more, but to
// close the last descriptor of a detached mount takes the kernel 0.2 to 0.4 ms (an RCU grace period):
// whoever has somebody waiting for the overlay hands it over first.
struct MountedSnapshot {
  Fd mount;
  std::vector<Fd> layers;
  int get() const noexcept { return mount.get(); }
};

// The detached overlay mount (nodev). `user_namespace`: whose maps the layers are seen through; -1
// for none. kUnsupported where this kernel or the store's file system has no idmapped mounts.
Result<MountedSnapshot> mount_snapshot(const Snapshot& snapshot, int user_namespace,
                                       OverlayMethod method = OverlayMethod::kAutomatic);

// Takes a project quota away that the container has had. Before the directory goes: until then it is
// known that the container has one.
Result<void> lift_limit(int store, const SizeLimit& limit, HostUid uid);
// Removes the container's directory and everything that it wrote. Fine when there is none.
Result<void> remove_container_directory(int store, const std::string& container);

}  // namespace bulkhead::storage
