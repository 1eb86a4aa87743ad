// Where in the container a mount, a device or a mask goes, and from which directory that place is
// reached without trusting anything that the image holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "isolation/child_context.h"
#include "oci/spec.h"

namespace bulkhead::isolation {

// A file system that this launch itself mounts fresh: nothing hostile has written there yet, and
// its root stays reachable by descriptor, whatever happens to the path that leads to it. Everything
// else is resolved beneath the container's root.
enum class Anchor : std::uint8_t { kRoot, kProc, kSys, kDev, kDevPts };

struct Place {
  Anchor anchor = Anchor::kRoot;
  std::string path;  // relative to the anchor, without a leading slash; "." for the anchor itself
  std::string absolute;  // in the container, clean; for people
};

// The descriptor that a place's path is relative to.
int anchor_of(const ChildContext& child, Anchor anchor) noexcept;
// Where the descriptor of a fresh file system is kept; null for kRoot.
int* anchor_slot(ChildContext& child, Anchor anchor) noexcept;

// Absolute and lexically clean: no ".", "..", double or trailing slashes. A relative path is taken
// from "/" (deprecated in the specification), and ".." never leads above it.
std::string clean_path(std::string_view path);
// Whether `path` is `directory` or beneath it; both clean.
bool is_at_or_beneath(std::string_view path, std::string_view directory);

// sysfs shows a network namespace and can only be mounted by who owns that. With a user namespace
// that does not own the container's network namespace, the host's /sys is bound instead, read-only.
bool binds_host_sysfs(const oci::Spec& spec);

// All mounts of a specification by destination, to say which of them covers a path.
class MountLayout {
 public:
  explicit MountLayout(const oci::Spec& spec);

  static constexpr std::size_t kAll = static_cast<std::size_t>(-1);
  // The place of a clean path when the first `mounts` mounts stand.
  Place place_of(std::string path, std::size_t mounts = kAll) const;
  // What mount number `index` becomes once it stands.
  Anchor anchor_of_mount(std::size_t index) const { return entries_[index].anchor; }
  const std::string& destination(std::size_t index) const { return entries_[index].destination; }
  // Whether a later mount hides mount number `index` altogether.
  bool is_hidden(std::size_t index) const;
  // The last mount whose destination is `path` itself; kAll for none.
  std::size_t mount_at(std::string_view path) const;
  bool is_bind(std::size_t index) const { return entries_[index].bind; }

 private:
  struct Entry {
    std::string destination;
    Anchor anchor;
    bool bind;
  };
  std::vector<Entry> entries_;
};

}  // namespace bulkhead::isolation
