// The child's end of the handshake as the layers see it: whatever the parent has sent so far is kept
// until a layer asks for it, in whichever order.
#pragma once

#include <array>

#include "isolation/child_context.h"
#include "launch/channel.h"

namespace bulkhead::launch {

class ChildLink {
 public:
  static constexpr std::size_t kMostMounts = 1024;
  static constexpr std::size_t kMostCgroups = 64;

  explicit ChildLink(Channel channel) noexcept : channel_(std::move(channel)) {}

  // The functions that layers call, bound to this link, which must outlive them.
  isolation::ParentLink functions() noexcept;

  const Channel& channel() const noexcept { return channel_; }
  SysResult<void> wait_for(MessageType type) noexcept;
  // `start` takes over from the process that made the container.
  void switch_to(Channel channel) noexcept { channel_ = std::move(channel); }
  void preset_cgroups(std::span<const int> files) noexcept;

 private:
  SysResult<void> receive_one() noexcept;

  Channel channel_;
  bool id_maps_ = false;
  bool cgroups_ = false;
  bool continue_ = false;
  std::array<int, kMostCgroups> cgroup_files_{};
  std::size_t cgroup_count_ = 0;
  std::array<int, kMostMounts> mounts_{};
  std::size_t mount_count_ = 0;
};

}  // namespace bulkhead::launch
