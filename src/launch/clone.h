// Making the child: clone3(2) (Linux 5.3; CLONE_INTO_CGROUP 5.7), with a forked joiner before it where
// namespaces must be entered first.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "launch/channel.h"
#include "launch/outcome.h"
#include "sys/pidfd.h"

namespace bulkhead::launch {

// One namespace to enter by setns(2): a namespace file, or a pidfd with several CLONE_NEW* bits.
struct NamespaceJoin {
  Fd file;
  int types = 0;
};

struct CloneOptions {
  std::uint64_t flags = 0;  // of CLONE_NEWUSER | CLONE_NEWPID
  int cgroup = -1;          // a cgroup v2 directory to be cloned into; -1: none
  // Entered, in this order, by a short-lived process that then makes the child as its sibling: the
  // way into a pid namespace that exists, and into namespaces that a new user namespace could not
  // enter any more.
  std::vector<NamespaceJoin> joins;
  // Membership files of cgroups, open for writing, that the joining process enters before.
  std::span<const int> cgroup_files;
};

struct Cloned {
  PidFd process;   // the child, a child of the calling process
  Channel parent;  // our end of the handshake
};

// In the parent: the child and our end of the handshake. In the child: nothing, and `child_end` is
// set. The caller must not have threads. Signals are blocked in the child until it unblocks them.
// The process that joins namespaces writes into `outcome` why it could not.
Result<std::optional<Cloned>> clone_child(const CloneOptions& options, const Outcome& outcome,
                                          Channel& child_end);

}  // namespace bulkhead::launch
