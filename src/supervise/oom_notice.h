// Being told by the kernel that it has killed something in a container's group for want of memory.
#pragma once

#include <cstdint>

#include "sys/fd.h"

namespace bulkhead::supervise {

class OomNotice {
 public:
  OomNotice() noexcept = default;
  // cgroup v1: an eventfd, and memory.oom_control; v2: nothing, and memory.events, which is polled itself.
  OomNotice(Fd notice, Fd counter) noexcept
      : notice_(std::move(notice)), counter_(std::move(counter)) {}

  // What to poll, and for which events; -1 for nothing.
  int get() const noexcept { return notice_ ? notice_.get() : counter_.get(); }
  short events() const noexcept;
  // How many kills there were since the last time, or the start. Neither allocates nor waits.
  std::uint64_t news() noexcept;

  const Fd& notice() const noexcept { return notice_; }
  const Fd& counter() const noexcept { return counter_; }

 private:
  Fd notice_;
  Fd counter_;
  std::uint64_t seen_ = 0;
};

}  // namespace bulkhead::supervise
