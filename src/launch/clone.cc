#include "launch/clone.h"

#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>

#include "launch/child.h"

namespace bulkhead::launch {
namespace {

SysResult<PidFd> raw_clone(std::uint64_t flags, int cgroup, bool as_sibling) noexcept {
  int pidfd = -1;
  struct clone_args arguments{};
  arguments.flags =
      flags | CLONE_PIDFD | (as_sibling ? CLONE_PARENT : 0) | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0);
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  // A sibling's exit signal is that of the caller itself.
  arguments.exit_signal = as_sibling ? 0 : SIGCHLD;
  arguments.cgroup = cgroup >= 0 ? static_cast<std::uint64_t>(cgroup) : 0;
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return sys_fail("clone3");
  if (pid == 0) return PidFd{};
  return PidFd(Fd(pidfd), HostPid(static_cast<std::int32_t>(pid)));
}

// The joiner: enters the namespaces and makes the child, which is its parent's child, not its own.
// Returns only in that child.
void join_and_clone(const CloneOptions& options, const Outcome& outcome,
                    const Channel& child_end) noexcept {
  // Before the first namespace: from then on others may see us in their /proc.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    fail_child(outcome, "join", {"prctl(PR_SET_DUMPABLE)", errno});
  for (const int file : options.cgroup_files)
    if (::write(file, "0", 1) != 1)
      fail_child(outcome, "join", {"write to the container's cgroup", errno});
  for (const NamespaceJoin& join : options.joins)
    if (::setns(join.file.get(), join.types) != 0) fail_child(outcome, "join", {"setns", errno});
  auto child = raw_clone(options.flags, options.cgroup, /*as_sibling=*/true);
  if (!child) fail_child(outcome, "join", child.error());
  if (!*child) return;
  const int pidfd = child->get();
  // Without this message the parent would neither know nor be able to end the child.
  if (!child_end.send({MessageType::kCloned, child->pid().value(), {}}, std::span(&pidfd, 1)))
    (void)child->send_signal(SIGKILL);
  ::_exit(0);
}

// A handshake in which the joiner reports the child, and may fail.
Result<PidFd> receive_cloned(const Channel& parent, const Outcome& outcome) {
  Received received;
  TRY(parent.receive(received));
  if (received.end_of_file && outcome.phase() == Phase::kFailed) {
    const Failure failure = outcome.failure();
    return std::unexpected(
        Error(SysError{failure.call, failure.error}).within("joining the namespaces"));
  }
  if (received.end_of_file)
    return fail(ErrorKind::kSystem, "join: the process that joins the namespaces died");
  if (received.message.type != MessageType::kCloned || received.descriptor_count != 1)
    return fail(ErrorKind::kInternal, "join: unexpected message from the joining process");
  return PidFd(std::move(received.descriptors[0]), HostPid(received.message.number));
}

Error explain_clone_failure(const SysError& error, std::uint64_t flags) {
  Error result = Error(error).within("making the container's process");
  if ((flags & CLONE_NEWUSER) == 0) return result;
  // user_namespaces(7) names the conditions.
  if (error.error == EPERM)
    return std::move(result).with_hint(
        "the kernel gives no user namespace to a process in a chroot, nor where they are switched "
        "off (sysctl kernel.unprivileged_userns_clone, "
        "kernel.apparmor_restrict_unprivileged_userns)");
  if (error.error == ENOSPC || error.error == EUSERS)
    return std::move(result).with_hint(
        "there are as many user namespaces as there may be, or they are nested too deeply: sysctl "
        "user.max_user_namespaces");
  return result;
}

}  // namespace

Result<std::optional<Cloned>> clone_child(const CloneOptions& options, const Outcome& outcome,
                                          Channel& child_end) {
  TRY_ASSIGN(auto ends, Channel::make_pair());
  // The child starts with everything blocked, so that no handler of ours runs in it.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const bool join = !options.joins.empty();
  auto process = join ? raw_clone(0, -1, false) : raw_clone(options.flags, options.cgroup, false);
  if (process && !*process) {
    ends.first.close();
    child_end = std::move(ends.second);
    if (join) join_and_clone(options, outcome, child_end);
    return std::optional<Cloned>();
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (!process)
    return std::unexpected(explain_clone_failure(process.error(), join ? 0 : options.flags));
  ends.second.close();
  if (!join) return Cloned{std::move(*process), std::move(ends.first)};
  auto child = receive_cloned(ends.first, outcome);
  (void)process->wait();
  if (!child) return std::unexpected(std::move(child).error());
  return Cloned{std::move(*child), std::move(ends.first)};
}

}  // namespace bulkhead::launch
