"""Calls that may be refused without the container's failing, each with the reason. Whatever stands here,
the container that then runs is compared, fact by fact, with one that met no refusal."""

import dataclasses
import fnmatch

ALL = ("EPERM", "ENOSYS", "ENOMEM", "EINTR")
OLD_KERNEL = ("ENOSYS", "EPERM")  # the kernel has no such call, or a filter around us says so


@dataclasses.dataclass(frozen=True)
class Listed:
    who: str       # parent, child, thread; "*" for each
    calls: tuple   # NAME DETAIL, with wild cards
    errors: tuple
    why: str
    may_differ: tuple = ()  # facts of the container, with wild cards
    scenario: str = "*"


LISTED = (
    # Before main().
    Listed("parent", ("set_tid_address *", "set_robust_list *", "rseq *", "prlimit64 0,3,*",
                      "readlink \"/proc/self/exe\",*", "getrandom *,8,1,*"), ALL,
           "the C library's own start: it does without"),
    Listed("parent", ("statfs \"/proc/self/exe\",*", "newfstatat cwd,\"/proc/self/exe\",*",
                      "geteuid *", "open_tree_attr cwd,\"/proc/self/exe\",*", "fstatfs *",
                      "execveat *", "open_tree cwd,\"/proc/self/exe\",*",
                      "mount_setattr *", "openat cwd,\"/proc/self/exe\",*", "fcntl *bulkhead-runtime*"),
           ALL, "one way to protect the runtime's binary gives way to the next, or to a refusal; the "
           "suite asks whether it is protected when the child is made"),
    Listed("parent", ("prctl 15,*",), ALL, "a name for ps"),
    # Facts about the host.
    Listed("parent", ("getegid *", "prctl 23,*", "prctl 21,*", "uname *", "landlock_create_ruleset *",
                      "lsm_list_modules *"), ALL,
           "a fact about the host that nothing in this configuration depends on; what was asked for is "
           "verified in the child"),
    Listed("parent", ("newfstatat *<*/cgroup>,*", "newfstatat *<*/stat>,*", "newfstatat *.json>,*",
                      "newfstatat *<*cgroup.controllers>,*"), ALL,
           "only a guess at the size of what is read next"),
    Listed("parent", ("openat *cpuset.cpus\",*", "read *cpuset.cpus>,*"), ALL,
           "whether the group has CPUs: one without refuses its first process"),
    Listed("parent", ("openat *cgroup.events\",*", "read *cgroup.events>,*", "pread64 *cgroup.events>,*",
                      "openat *freezer.state\",*", "read *freezer.state>,*",
                      "openat *cgroup.subtree_control\",*", "read *cgroup.subtree_control>,*",
                      "openat *cgroup.type\",*", "read *cgroup.type>,*",
                      "faccessat2 *\"start.sock\",*"), ALL,
           "whether the container is frozen, divided or not started: then exec waits or is refused, "
           "and its membership is written all the same"),
    Listed("parent", ("mkdir \"/sys/fs/cgroup/*",), ("EPERM",),
           "without privilege, no group is what is expected: no limit was asked for",
           scenario="rootless run"),
    # The network namespace made ahead.
    Listed("parent", ("clone *",), ALL, "then the child makes its network namespace by itself"),
    Listed("thread", ("unshare *", "socket *", "ioctl *"), ALL,
           "then the child makes its network namespace by itself"),
    # Around the clone.
    Listed("parent", ("rt_sigprocmask *",), ALL,
           "the runtime has no handlers that a signal could run in the child; the child sets its own "
           "mask, and fails if it cannot"),
    Listed("parent", ("setns *<pid:*",), ALL,
           "the way back out of the container's pid namespace: no other process is made"),
    # The terminal.
    Listed("parent", ("ioctl *",), ALL, "the size of the caller's terminal, which is none"),
    Listed("parent", ("fcntl *<*ptmx>,*",), ALL, "the master blocks then, and is read only when ready"),
    Listed("parent", ("read *</dev/null>,*", "write *ptmx>,*"), ALL,
           "the caller's input ends early; what the container says is what counts"),
    # Hooks.
    Listed("child", ("rt_sigprocmask *",), ALL,
           "around the making of a hook's process, which sets its own mask and fails if it cannot"),
    Listed("child", ("rt_sigaction 13,*",), ALL, "a hook starts with SIGPIPE as the caller had it"),
    Listed("child", ("close_range 3<*,-,4,*",), ("ENOSYS",),
           "CLOSE_RANGE_CLOEXEC (Linux 5.11): our own are close-on-exec; the caller's reach the hook, "
           "which is the caller's, too"),
    Listed("*", ("read *<pipe:*",), ALL, "a hook's words, for the message of its failure"),
    # Afterwards.
    Listed("parent", ("munmap *",), ALL, "memory of a process that ends"),
    Listed("parent", ("flock *,8,*",), ALL,
           "the lock is kept: others wait until the container has ended"),
    Listed("parent", ("getdents64 *",), ALL,
           "the end of a listing; what it has not shown keeps rmdir from succeeding"),
    # Interrupted calls.
    Listed("*", ("read *", "write *", "pread64 *", "recvmsg *", "sendmsg *", "accept4 *", "poll *",
                 "waitid *", "flock *", "sendfile *", "futex *", "wait4 *", "connect *"), ("EINTR",),
           "asked again"),
    Listed("parent", ("futex *",), ALL,
           "the wait for the thread that makes the network namespace looks again until it is gone"),
    Listed("*", ("close *",), ALL, "the descriptor is closed, whatever close(2) says"),
    Listed("child", ("close *",), ALL, "the descriptors layer closes and counts them again"),
    # Ways around calls that older kernels lack, or that a filter around us denies.
    Listed("child", ("fsopen *", "fsconfig *", "fsmount *"), OLD_KERNEL,
           "mount(2) is asked instead (before Linux 5.2), which answers for itself"),
    Listed("child", ("open_tree *", "open_tree_attr *", "move_mount *"), OLD_KERNEL,
           "a bind by mount(2) instead (before Linux 5.2), which answers for itself"),
    Listed("child", ("mount_setattr *",), ("ENOSYS",),
           "a remount instead (before Linux 5.12); the flags are verified"),
    Listed("child", ("openat2 *",), OLD_KERNEL,
           "the path is walked step by step without following links (before Linux 5.6)"),
    Listed("child", ("faccessat2 *",), ("ENOSYS",), "libc asks the old way (before Linux 5.8)"),
    Listed("child", ("statx *",), ("ENOSYS",), "mounts are told apart by device and inode instead"),
    Listed("child", ("mknodat *",), ("EPERM",),
           "a node that may not be made is bound from the host, with the mode that it has there",
           may_differ=("mount /dev/*", "device *")),
    # What is only comfort, or verified in another way.
    Listed("child", ("openat *\"/etc/passwd\",*", "newfstatat *passwd>,*", "read *passwd>,*"), ALL,
           "HOME is / then"),
    Listed("child", ("openat *\"sys/*", "read *<*/proc/sys/*"), ("EPERM",),
           "a sysctl that can be written and not read: the kernel has taken the value"),
    Listed("child", ("readlinkat *\"console\",*",), ALL,
           "whether an old /dev/console is a link; what is opened must be no link"),
)


def listed_as(scenario, call, error):
    """The entry for a call that was refused; None when there is none."""
    text = f"{call.name} {call.detail}"
    for entry in LISTED:
        if entry.who in ("*", call.who) and error in entry.errors and \
                fnmatch.fnmatchcase(scenario.name, entry.scenario) and \
                any(fnmatch.fnmatchcase(text, pattern) for pattern in entry.calls):
            return entry
    return None
