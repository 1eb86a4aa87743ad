// The options of a mount in the specification's words, as what the kernel takes. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::isolation {

// Whose ids an idmapped mount shows.
enum class IdMapScope { kNone, kThisMount, kWholeTree };

struct MountOptions {
  // MOUNT_ATTR_* bits of the mount itself, and of everything beneath it (the r* options).
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
  std::uint64_t recursive_set = 0;
  std::uint64_t recursive_clear = 0;
  // Of the file system (superblock): MS_SYNCHRONOUS, MS_DIRSYNC, MS_MANDLOCK, MS_LAZYTIME,
  // MS_SILENT, MS_I_VERSION.
  unsigned long super_flags = 0;
  // MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE; 0: none named.
  std::uint64_t propagation = 0;
  bool propagation_recursive = false;
  bool bind = false;
  bool recursive_bind = false;
  bool remount = false;
  bool copy_up = false;  // tmpcopyup
  IdMapScope idmap = IdMapScope::kNone;
  // What is the file system's own: "size=64k", "hidepid=2", in order; the value may be absent.
  std::vector<std::pair<std::string, std::optional<std::string>>> data;

  std::string joined_data() const;  // "size=64k,mode=755"
};

// Reads the options of one mount. Everything unknown is the file system's own data.
MountOptions parse_mount_options(const std::vector<std::string>& options);

// The flags of mount(2) for a fresh mount with these options.
unsigned long classic_flags(const MountOptions& options);

// "ro,nosuid,nodev" of MOUNT_ATTR_* bits, for people.
std::string attribute_names(std::uint64_t set);
// "rprivate" and the like; empty for 0.
std::string propagation_name(std::uint64_t propagation, bool recursive);
// MS_* and recursion of linux.rootfsPropagation or a mount option; nothing for an unknown word.
struct Propagation {
  std::uint64_t mode = 0;
  bool recursive = false;
};
std::optional<Propagation> parse_propagation(std::string_view word);

}  // namespace bulkhead::isolation
