// The child half of a launch: from clone to execve. Runs in a fork of the runtime: it neither
// allocates nor formats nor takes a lock, and every failure goes back to the parent with the name of
// the layer that failed.
#pragma once

#include <array>
#include <span>

#include "isolation/child_context.h"
#include "launch/channel.h"
#include "launch/outcome.h"
#include "launch/plan.h"
#include "launch/program.h"

namespace bulkhead::launch {

// Hooks of the container's namespaces, laid out before clone (runtime/ implements it).
class ChildHooks {
 public:
  virtual ~ChildHooks() = default;
  // Runs all hooks of the stage in order; the first failure ends it.
  virtual SysResult<void> run_create_container() noexcept = 0;
  virtual SysResult<void> run_start_container() noexcept = 0;
  // Descriptors that the hooks need until the end, close-on-exec.
  virtual std::span<const int> descriptors() const noexcept = 0;
};

// What the child needs beside the layers' plans. All of it is made before clone.
struct ChildInput {
  Program* program = nullptr;
  ContainerUid uid;  // for HOME
  bool wait_for_runtime_hooks = false;
  ChildHooks* hooks = nullptr;  // may be null
  int start_listener = -1;      // a listening SOCK_SEQPACKET socket; -1: do not wait
  int proc = -1;                // O_PATH of the host's procfs
  std::uint64_t joined = 0;     // CLONE_NEW* bits entered before child_main,
  std::array<std::uint64_t, oci::kNamespaceTypeCount> entered{};  // and their numbers
  int network = -1;                                               // as ChildContext::network
  bool cloned_into_cgroup = false;
  std::span<const int> cgroup_files;  // already open (exec); else they come from the parent
  // exec: the container's init, whose namespaces (but the pid namespace, which clone entered) are
  // joined after the cgroups and before any layer.
  int join_process = -1;
  int join_namespaces = 0;
  // An unprivileged parent can write the id maps only while the child is dumpable.
  bool dumpable_until_mapped = false;
  // Nobody else stands by the program: it dies with the process that made it, unless it changes its
  // own credentials or clears this (PR_SET_PDEATHSIG).
  bool dies_with_parent = false;
  // Bit n - 1: signal n is ignored by this process. execve would hand that on.
  std::uint64_t ignored_signals = 0;
};

// Blocks signals' leftovers, ties the child's life to the parent's, applies the sequence, and
// executes the program. Never returns. What fails stands in `outcome`.
[[noreturn]] void child_main(const ContainerPlan& plan, const ChildInput& input, Outcome& outcome,
                             Channel channel) noexcept;
[[noreturn]] void child_main(const ExecPlan& plan, const ChildInput& input, Outcome& outcome,
                             Channel channel) noexcept;

// Leaves word of what failed, and ends the process.
[[noreturn]] void fail_child(const Outcome& outcome, std::string_view layer, const SysError& error,
                             std::string_view head = {}) noexcept;

}  // namespace bulkhead::launch
