// Devices as the host has them, and nodes of them that belong to the container.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "engine/cdi.h"
#include "engine/device_flag.h"
#include "engine/limits.h"
#include "isolation/request.h"

namespace bulkhead::engine {

struct DeviceNode {
  std::string path;  // in the container
  std::string host;
  std::string type;  // "c" or "b"
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;  // the container's
  std::uint32_t gid = 0;
  std::string access = "rwm";
};

// What stands at the paths; directories stand for all devices beneath them.
Result<std::vector<DeviceNode>> find_devices(const DeviceWishes& wishes, const CdiEdits& edits);
// The numbers of the disks whose rates are limited.
Result<void> find_block_devices(Limits& limits);

// A node for each, as mounts that the launch puts into the container. The nodes lie on a file system
// of the host's that is mounted nowhere: a file system of the container's own could hold no working
// device, and the host's own nodes belong to users that the container does not have.
Result<std::vector<isolation::HandedMount>> make_device_nodes(std::span<const DeviceNode> nodes,
                                                              HostUid first_uid, HostGid first_gid);

// What is mounted at `path` (absolute) in the mount namespace, as a mount of ours. `root` is a
// descriptor of that namespace's process's root.
Result<Fd> take_mount(int mount_namespace, int root, const char* path);

}  // namespace bulkhead::engine
