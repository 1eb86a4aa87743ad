#include "launch/child_link.h"

#include <algorithm>

#include "base/result.h"
#include "launch/outcome.h"

namespace bulkhead::launch {

isolation::ParentLink ChildLink::functions() noexcept {
  isolation::ParentLink link;
  link.self = this;
  link.wait_for_id_maps = [](void* self) noexcept {
    return static_cast<ChildLink*>(self)->wait_for(MessageType::kIdMapsWritten);
  };
  link.wait_for_cgroups = [](void* self) noexcept -> SysResult<std::span<const int>> {
    auto* own = static_cast<ChildLink*>(self);
    TRY(own->wait_for(MessageType::kCgroups));
    return std::span<const int>(own->cgroup_files_.data(), own->cgroup_count_);
  };
  link.wait_for_mount = [](void* self, std::size_t index) noexcept -> SysResult<int> {
    auto* own = static_cast<ChildLink*>(self);
    if (index >= kMostMounts) return sys_fail_with(E2BIG, "receive a mount");
    while (own->mount_count_ <= index) TRY(own->receive_one());
    return own->mounts_[index];
  };
  link.send_descriptor = [](void* self, std::string_view purpose, int fd) noexcept {
    Message message{MessageType::kDescriptor, 0, {}};
    copy_text(message.purpose, purpose);
    return static_cast<ChildLink*>(self)->channel_.send(message, std::span(&fd, 1));
  };
  return link;
}

SysResult<void> ChildLink::wait_for(MessageType type) noexcept {
  bool& flag = type == MessageType::kIdMapsWritten ? id_maps_
               : type == MessageType::kCgroups     ? cgroups_
                                                   : continue_;
  while (!flag) TRY(receive_one());
  return {};
}

void ChildLink::preset_cgroups(std::span<const int> files) noexcept {
  cgroup_count_ = std::min(files.size(), kMostCgroups);
  std::copy_n(files.begin(), cgroup_count_, cgroup_files_.begin());
  cgroups_ = true;
}

SysResult<void> ChildLink::receive_one() noexcept {
  Received received;
  TRY(channel_.receive(received));
  // The parent is gone: nobody waits for this container any more.
  if (received.end_of_file) return sys_fail_with(EPIPE, "wait for the runtime");
  const auto take = [&](std::span<int> target, std::size_t& count) {
    for (std::size_t i = 0; i < received.descriptor_count; ++i) {
      if (count == target.size()) return false;
      target[count++] = received.descriptors[i].release();
    }
    return true;
  };
  bool fits = true;
  switch (received.message.type) {
    case MessageType::kIdMapsWritten: id_maps_ = true; break;
    case MessageType::kContinue: continue_ = true; break;
    case MessageType::kMounts: fits = take(mounts_, mount_count_); break;
    case MessageType::kCgroups:
      fits = take(cgroup_files_, cgroup_count_);
      cgroups_ = true;
      break;
    default: return sys_fail_with(EBADMSG, "wait for the runtime");
  }
  if (!fits) return sys_fail_with(E2BIG, "receive descriptors");
  return {};
}

}  // namespace bulkhead::launch
