// Being told when the kernel kills for want of memory in a container's group.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"
#include "sys/pidfd.h"

namespace bulkhead::runtime {

class OomWatch {
 public:
  // `groups` as isolation::cgroup_record() has them; nothing when none has the memory controller.
  static Result<std::optional<OomWatch>> start(std::span<const std::string> groups);

  // For whoever polls them himself: v1 an eventfd and memory.oom_control; v2 nothing and memory.events.
  struct Descriptors {
    Fd notice;
    Fd counter;
  };
  Descriptors take() &&;

  // What to poll, and for which events.
  int get() const noexcept { return notification_.get(); }
  short events() const noexcept;
  // After poll: whether there was a kill since the last time, or the start.
  bool happened();

 private:
  OomWatch() = default;
  Fd notification_;  // v1: an eventfd; v2: memory.events itself
  Fd control_;       // v1: memory.oom_control, held open
  bool v2_ = false;
  std::uint64_t kills_ = 0;  // v2: the counter so far
};

struct ContainerWatch {
  PidFd init;
  std::optional<OomWatch> oom;
};

// kState when the container has ended.
Result<ContainerWatch> watch_container(const std::string& state_root, std::string_view id);

}  // namespace bulkhead::runtime
