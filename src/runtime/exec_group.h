// A control group beneath the container's own for one process that exec adds and whatever it starts: so
// that all of it can be ended together. Where the host has cgroup v2, be it beside v1; elsewhere it is
// told by its session, which a process can leave.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"
#include "sys/pidfd.h"

namespace bulkhead::runtime {

class ExecGroup {
 public:
  // `record`: of the container's groups. Whoever is left in a group of that name is ended first.
  static Result<ExecGroup> make(std::span<const std::string> record, std::string_view name);

  ExecGroup(ExecGroup&&) noexcept = default;
  ExecGroup& operator=(ExecGroup&&) = delete;
  ~ExecGroup() = default;

  // To be cloned into; -1: there is none.
  int directory() const noexcept { return directory_.get(); }

  // SIGKILL to all, `process` first, which leads the session. Does not wait for their deaths.
  void kill(const PidFd& process) const noexcept;
  // The same, and the group goes once it is empty.
  void end(const PidFd& process) noexcept;

 private:
  ExecGroup() = default;
  void kill_all() const noexcept;

  std::string path_;  // of the group; empty: none
  Fd directory_;
  std::vector<std::string> record_;
};

}  // namespace bulkhead::runtime
