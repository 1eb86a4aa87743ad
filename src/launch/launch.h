// The parent half of a launch: makes the child, does what only the parent can do (id maps, mounts with
// the host's privileges, cgroups, hooks), and brings every failure home. Create, run and exec share
// it.
#pragma once

#include <string_view>
#include <vector>

#include "launch/child.h"
#include "launch/clone.h"

namespace bulkhead::launch {

// Takes what the child sends: a terminal's master ("console"), a seccomp listener ("seccomp").
class DescriptorSink {
 public:
  virtual ~DescriptorSink() = default;
  virtual Result<void> descriptor(std::string_view purpose, Fd fd) = 0;
};

// What the parent does while the child builds its world. Called in this order; a failure ends the
// child and the launch.
class ParentTasks : public DescriptorSink {
 public:
  // The child exists; nothing of the container does yet.
  virtual Result<void> cloned(const PidFd& child) = 0;
  // Writes the id maps of the child's new user namespace.
  virtual Result<void> write_id_maps(const PidFd& child) = 0;
  // The detached mounts that the child waits for, in the order of its plan.
  virtual Result<std::vector<Fd>> make_mounts(const PidFd& child) = 0;
  // Makes the cgroups; their membership files, open for writing, in the order of the plan.
  virtual Result<std::vector<int>> make_cgroups(const PidFd& child) = 0;
  // What need not be waited for by the child: runs after the child has all that it waits for.
  virtual Result<void> while_child_works(const PidFd& child) = 0;
  // Network devices, prestart and createRuntime hooks; called only when ChildInput says so.
  virtual Result<void> root_built(const PidFd& child) = 0;
  // The child could not be made: why (its group's limits)?
  virtual Error explain_no_child(Error error) { return error; }
  // The child died without a word: why (an OOM kill, say)?
  virtual Error explain_death(const PidFd& child) = 0;
};

// Which of the tasks above the child waits for.
struct Expected {
  bool id_maps = false;
  bool mounts = false;
  bool cgroups = false;
};

struct LaunchOptions {
  CloneOptions clone;
  Expected expected;
  std::string_view program;  // process.args[0], for error messages
};

// Kills and reaps a child that has been launched, unless dismissed: for what can still fail after it.
class ChildGuard {
 public:
  explicit ChildGuard(const PidFd& process) : process_(&process) {}
  ~ChildGuard();
  ChildGuard(const ChildGuard&) = delete;
  ChildGuard& operator=(const ChildGuard&) = delete;
  void dismiss() noexcept { process_ = nullptr; }

 private:
  const PidFd* process_;
};

// Until the child waits for its start (ChildInput::start_listener is set), or until it has executed
// the program. On failure the child is dead and reaped.
Result<PidFd> launch(const ContainerPlan& plan, const ChildInput& input,
                     const LaunchOptions& options, ParentTasks& tasks);
Result<PidFd> launch(const ExecPlan& plan, const ChildInput& input, const LaunchOptions& options,
                     ParentTasks& tasks);

// The other end of ChildInput::start_listener: connects, releases the container, and waits until it
// has executed its program or says why not.
Result<void> release(const Channel& container, std::string_view program, DescriptorSink& sink);

}  // namespace bulkhead::launch
