// Which mounts of a container are not its own: CRIU is told of them, takes nothing of them into an
// image, and is told at the restore what to bind in their place. All others (proc, sysfs, tmpfs,
// devpts, ...) it makes anew by itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::runtime {

// One line of /proc/PID/mountinfo, as far as it matters here.
struct MountEntry {
  int id = 0;
  std::uint64_t device = 0;  // of the file system, as makedev(3)
  std::string mount_point;   // unescaped
  bool idmapped = false;
};
// Lines that are not in the format of proc(5) are skipped.
std::vector<MountEntry> parse_mount_entries(std::string_view mountinfo);

struct ExternalMount {
  enum class Origin {
    kConfigured,  // a bind mount of the configuration, or what was mounted beneath its source
    kNullDevice,  // a masked file
    kHostDevice,  // a device node that was bound, because the container may make none
  };
  Origin origin = Origin::kConfigured;
  std::string mount_point;  // where it is in the container; CRIU knows it by this name
  std::string destination;  // kConfigured: of the configuration's mount
  std::string below;        // kConfigured: the rest, of a mount beneath it: "/sub"
  bool operator==(const ExternalMount&) const = default;
};

// Where a destination of the configuration really is: symbolic links in the image may lead elsewhere.
class DestinationResolver {
 public:
  virtual ~DestinationResolver() = default;
  virtual std::string resolve(const std::string& destination) const = 0;
};

// Of a container that runs. `null_device`: the device number of the file system that the host's
// /dev/null is on. kUnsupported for mounts that CRIU cannot bring back.
Result<std::vector<ExternalMount>> find_external_mounts(const oci::Spec& spec,
                                                        const std::vector<MountEntry>& mounts,
                                                        std::uint64_t null_device,
                                                        const DestinationResolver& resolver);
// What a checkpoint without a list of ours (another runtime's) may have, by the configuration.
std::vector<ExternalMount> presumed_external_mounts(const oci::Spec& spec);

// The host's path to bind there at the restore. kInvalid when the configuration has nothing of the kind.
Result<std::string> source_of(const ExternalMount& mount, const oci::Spec& spec,
                              std::string_view bundle);

}  // namespace bulkhead::runtime
