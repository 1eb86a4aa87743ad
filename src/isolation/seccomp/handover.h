// The child half of SCMP_ACT_NOTIFY: installing a filter that makes a listener descriptor, and
// getting that descriptor out of a process that may make no system call any more.
//
// Any call after seccomp(2) could be one that the profile denies, or one that waits for the very
// agent who has not got the descriptor yet: sendmsg, write, even futex. So a second thread is made
// before; the filter does not concern it. The first thread installs the filter, leaves the number
// of the descriptor in shared memory and spins there, without a system call; the second hands the
// descriptor to the parent and ends. execve would end it, too.
#pragma once

#include <linux/filter.h>

#include <cstdint>

#include "isolation/child_context.h"

namespace bulkhead::isolation::seccomp {

// seccomp(2) itself: its result, or -errno. Leaves errno alone, which both threads share.
long install(const sock_fprog& program, std::uint32_t flags) noexcept;

// `flags` contains SECCOMP_FILTER_FLAG_NEW_LISTENER. Returns when the parent has been sent the
// descriptor. The descriptor itself is close-on-exec and stays open until then.
SysResult<void> install_and_hand_over(const sock_fprog& program, std::uint32_t flags,
                                      const ParentLink& parent) noexcept;

}  // namespace bulkhead::isolation::seccomp
