// One mount of the specification, as it will be made. Plain data; all text is prepared here,
// because the process that mounts may not allocate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "isolation/layer.h"
#include "isolation/mounts/options.h"
#include "isolation/mounts/place.h"
#include "sys/mount_api.h"

namespace bulkhead::isolation {

enum class MountMethod {
  kClassic,     // mount(2) on the destination's descriptor: one call, any file system
  kFresh,       // fsopen to move_mount: leaves a descriptor of the new root behind
  kBind,        // open_tree, attributes, move_mount
  kFromParent,  // the same, with the first two made by the parent
  kRemount,     // changes what is mounted there already
  kCgroup,      // the container's own groups of every hierarchy
};

// One cgroup hierarchy as the container sees it.
struct CgroupView {
  std::string name;  // directory beneath the destination: "cpu,cpuacct"; empty: the destination
  std::string mount_point;  // on the host
  std::string mount_root;   // the group that is mounted there; empty for the hierarchy's root
  std::string controller;   // as in /proc/self/cgroup: one of its names, "name=systemd", "" for v2
  std::vector<std::string> links;  // "cpu", "cpuacct", when name is neither
};

struct IdMapPlan {
  // Empty: the ids of the container's own user namespace.
  std::vector<oci::IdMapping> uids;
  std::vector<oci::IdMapping> gids;
};

struct MountPlan {
  MountMethod method = MountMethod::kClassic;
  Place place;
  std::size_t number = 0;  // in the specification's list

  std::string type;    // of the file system; empty for binds
  std::string source;  // binds: absolute path on the host; else what /proc/mounts shows
  std::string data;    // of mount(2)
  std::vector<std::pair<std::string, std::optional<std::string>>> parameters;  // of fsconfig(2)
  unsigned long flags = 0;                                                     // of mount(2)

  // A bind is copied with `recursion` and gets `tree_attributes` with the same recursion; then its
  // top mount alone gets `attributes`. Both hold what the options say, propagation too. A new file
  // system is one mount and uses `attributes` only.
  Recursion recursion = Recursion::kThisMount;
  MountAttributes tree_attributes;
  MountAttributes attributes;

  std::optional<std::size_t> parent_mount;
  int handed = -1;  // Request::handed_mounts: the source, instead of `source`
  std::optional<IdMapPlan> idmap;
  Recursion idmap_recursion = Recursion::kThisMount;

  // The path must have no symbolic link: procfs and sysfs, which later steps trust to be where they
  // are (CVE-2019-16884, CVE-2019-19921).
  bool exact = false;
  // A bind on /proc must be a procfs itself.
  bool source_must_be_procfs = false;
  bool copy_up = false;
  bool hidden = false;  // a later mount covers it: verify cannot see it
  Anchor becomes = Anchor::kRoot;

  // kCgroup.
  std::vector<CgroupView> cgroups;
  bool cgroup_directory = false;  // a tmpfs that holds the hierarchies (v1, hybrid)

  const char* destination() const noexcept { return place.absolute.c_str(); }
};

struct MountsPlan {
  std::vector<MountPlan> mounts;
};

// All mounts of the specification in order. Numbers of the parent's mounts start at 0, or at 1 when
// number 0 is the root.
Result<MountsPlan> describe_mounts(const Request& request, const HostFacts& host);

}  // namespace bulkhead::isolation
