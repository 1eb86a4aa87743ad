// The system calls of the default profile, as tables. Included by default_profile.cc only.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "isolation/seccomp/default_profile.h"

namespace bulkhead::isolation::seccomp {

// clang-format off: names in rows, not one a line.

// What every program may call. socket, clone, personality and ioctl are allowed by their arguments.
inline constexpr std::string_view kAllowedCalls[] = {
    // Files and directories.
    "access", "chdir", "chmod", "chown", "chown32", "close", "close_range", "copy_file_range",
    "creat", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fadvise64", "fadvise64_64",
    "fallocate", "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown",
    "fchown32", "fchownat", "fcntl", "fcntl64", "fdatasync", "flock", "fstat", "fstat64",
    "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futimesat",
    "getcwd", "getdents", "getdents64", "inotify_add_watch", "inotify_init", "inotify_init1",
    "inotify_rm_watch", "lchown", "lchown32", "link", "linkat", "listmount", "_llseek",
    "lseek", "lstat", "lstat64", "mkdir", "mkdirat", "mknod", "mknodat", "name_to_handle_at",
    "newfstatat", "open", "openat", "openat2", "pread64", "preadv", "preadv2", "pwrite64",
    "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "rename",
    "renameat", "renameat2", "rmdir", "sendfile", "sendfile64", "splice", "stat", "stat64",
    "statfs", "statfs64", "statmount", "statx", "symlink", "symlinkat", "sync",
    "sync_file_range", "syncfs", "tee", "truncate", "truncate64", "umask", "unlink",
    "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes", "write", "writev", "pipe",
    "pipe2",
    // Extended attributes.
    "fgetxattr", "flistxattr", "fremovexattr", "fsetxattr", "getxattr", "getxattrat",
    "lgetxattr", "listxattr", "listxattrat", "llistxattr", "lremovexattr", "lsetxattr",
    "removexattr", "removexattrat", "setxattr", "setxattrat",
    // Memory.
    "brk", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret",
    "mincore", "mlock", "mlock2", "mlockall", "mmap", "mmap2", "mprotect", "mremap", "mseal",
    "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect",
    "process_mrelease",
    // Asynchronous and multiplexed input and output.
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "eventfd", "eventfd2", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents",
    "io_pgetevents_time64", "io_setup", "io_submit", "_newselect", "poll", "ppoll",
    "ppoll_time64", "pselect6", "pselect6_time64", "select", "signalfd", "signalfd4",
    "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime",
    "timerfd_settime64",
    // Sockets, once there is one.
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt",
    "listen", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "send", "sendmmsg",
    "sendmsg", "sendto", "setsockopt", "shutdown",
    // Communication between processes.
    "ipc", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive",
    "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "msgctl",
    "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop",
    "semtimedop_time64", "shmat", "shmctl", "shmdt", "shmget", "futex", "futex_requeue",
    "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "get_robust_list",
    "set_robust_list",
    // Time.
    "adjtimex", "alarm", "clock_adjtime", "clock_adjtime64", "clock_getres",
    "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "getitimer", "gettimeofday", "nanosleep", "setitimer", "time",
    "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64",
    "timer_settime", "timer_settime64", "times",
    // Signals.
    "kill", "pause", "pidfd_send_signal", "restart_syscall", "rt_sigaction", "rt_sigpending",
    "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
    "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sigaltstack", "sigprocmask", "sigreturn",
    "tgkill", "tkill",
    // Processes, their identity and their limits.
    "arch_prctl", "capget", "capset", "execve", "execveat", "exit", "exit_group", "fork",
    "get_thread_area", "getcpu", "getegid", "getegid32", "geteuid", "geteuid32", "getgid",
    "getgid32", "getgroups", "getgroups32", "getpgid", "getpgrp", "getpid", "getppid",
    "getpriority", "getrandom", "getresgid", "getresgid32", "getresuid", "getresuid32",
    "getrlimit", "getrusage", "getsid", "gettid", "getuid", "getuid32", "ioprio_get",
    "ioprio_set", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self",
    "pidfd_open", "prctl", "prlimit64", "rseq", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam",
    "sched_getscheduler", "sched_rr_get_interval", "sched_rr_get_interval_time64",
    "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
    "sched_yield", "seccomp", "set_thread_area", "set_tid_address", "setfsgid", "setfsgid32",
    "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setpgid",
    "setpriority", "setregid", "setregid32", "setresgid", "setresgid32", "setresuid",
    "setresuid32", "setreuid", "setreuid32", "setrlimit", "setsid", "setuid", "setuid32",
    "sysinfo", "ugetrlimit", "uname", "uprobe", "uretprobe", "vfork", "wait4", "waitid",
    "waitpid",
};

struct CapabilityCalls {
  std::string_view capability;
  std::span<const std::string_view> calls;
};

inline constexpr std::string_view kForBpf[] = {"bpf"};
inline constexpr std::string_view kForDacReadSearch[] = {"open_by_handle_at"};
inline constexpr std::string_view kForPerfmon[] = {"perf_event_open"};
inline constexpr std::string_view kForSysAdmin[] = {
    "bpf", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lsm_get_self_attr",
    "lsm_list_modules", "lsm_set_self_attr", "mount", "mount_setattr", "move_mount",
    "open_tree", "open_tree_attr", "perf_event_open", "pivot_root", "quotactl", "quotactl_fd",
    "setdomainname", "sethostname", "setns", "syslog", "umount", "umount2", "unshare"};
inline constexpr std::string_view kForSysBoot[] = {"reboot"};
inline constexpr std::string_view kForSysChroot[] = {"chroot"};
inline constexpr std::string_view kForSysModule[] = {
    "delete_module", "finit_module", "init_module"};
inline constexpr std::string_view kForSysNice[] = {
    "get_mempolicy", "mbind", "migrate_pages", "move_pages", "set_mempolicy",
    "set_mempolicy_home_node"};
inline constexpr std::string_view kForSysPacct[] = {"acct"};
inline constexpr std::string_view kForSysPtrace[] = {
    "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"};
inline constexpr std::string_view kForSysRawio[] = {"ioperm", "iopl"};
inline constexpr std::string_view kForSysTime[] = {
    "clock_settime", "clock_settime64", "settimeofday", "stime"};
inline constexpr std::string_view kForSysTtyConfig[] = {"vhangup"};
inline constexpr std::string_view kForSyslog[] = {"syslog"};

inline constexpr CapabilityCalls kCallsByCapability[] = {
    {"CAP_BPF", kForBpf},
    {"CAP_DAC_READ_SEARCH", kForDacReadSearch},
    {"CAP_PERFMON", kForPerfmon},
    {"CAP_SYS_ADMIN", kForSysAdmin},
    {"CAP_SYS_BOOT", kForSysBoot},
    {"CAP_SYS_CHROOT", kForSysChroot},
    {"CAP_SYS_MODULE", kForSysModule},
    {"CAP_SYS_NICE", kForSysNice},
    {"CAP_SYS_PACCT", kForSysPacct},
    {"CAP_SYS_PTRACE", kForSysPtrace},
    {"CAP_SYS_RAWIO", kForSysRawio},
    {"CAP_SYS_TIME", kForSysTime},
    {"CAP_SYS_TTY_CONFIG", kForSysTtyConfig},
    {"CAP_SYSLOG", kForSyslog},
};

inline constexpr std::string_view kDeniedIoUring[] = {
    "io_uring_enter", "io_uring_register", "io_uring_setup"};
inline constexpr std::string_view kDeniedSockets[] = {"socket", "socketcall", "socketpair"};
inline constexpr std::string_view kDeniedNamespaces[] = {"clone", "clone3", "setns", "unshare"};
inline constexpr std::string_view kDeniedKeyrings[] = {"add_key", "keyctl", "request_key"};
inline constexpr std::string_view kDeniedPageFaults[] = {"userfaultfd"};
inline constexpr std::string_view kDeniedBpf[] = {"bpf"};
inline constexpr std::string_view kDeniedPerf[] = {"perf_event_open"};
inline constexpr std::string_view kDeniedOtherProcesses[] = {
    "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"};
inline constexpr std::string_view kDeniedMounts[] = {
    "chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr",
    "move_mount", "open_tree", "open_tree_attr", "pivot_root", "umount", "umount2"};
inline constexpr std::string_view kDeniedKernel[] = {
    "acct", "create_module", "delete_module", "finit_module", "init_module", "kexec_file_load",
    "kexec_load", "query_module", "quotactl", "quotactl_fd", "reboot", "swapoff", "swapon",
    "syslog"};
inline constexpr std::string_view kDeniedFileHandles[] = {"open_by_handle_at"};
inline constexpr std::string_view kDeniedFanotify[] = {"fanotify_init"};
inline constexpr std::string_view kDeniedClock[] = {
    "clock_settime", "clock_settime64", "settimeofday", "stime"};
inline constexpr std::string_view kDeniedHardware[] = {
    "ioperm", "iopl", "modify_ldt", "vm86", "vm86old"};
inline constexpr std::string_view kDeniedMemoryPlacement[] = {
    "get_mempolicy", "mbind", "migrate_pages", "move_pages", "set_mempolicy",
    "set_mempolicy_home_node"};
inline constexpr std::string_view kDeniedPageCache[] = {
    "cachestat", "remap_file_pages", "vmsplice"};
inline constexpr std::string_view kDeniedTerminal[] = {"ioctl", "vhangup"};
inline constexpr std::string_view kDeniedNames[] = {"setdomainname", "sethostname"};

inline constexpr DeniedGroup kDeniedGroups[] = {
    {"io_uring",
     "its operations pass by every system call filter, and it is a frequent source of "
     "kernel privilege escalations",
     kDeniedIoUring},
    {"sockets",
     "families other than Unix, IPv4, IPv6 and routing netlink (AF_ALG, AF_RXRPC, AF_KEY, "
     "AF_VSOCK, XFRM and many more) load rarely used kernel code; through i386's "
     "socketcall no filter sees the family, so it is closed",
     kDeniedSockets},
    {"namespaces",
     "a new user namespace gives its maker every capability over kernel code that is "
     "otherwise out of reach",
     kDeniedNamespaces},
    {"keyrings",
     "keys are not separated between containers of one user",
     kDeniedKeyrings},
    {"page faults in user space",
     "userfaultfd stops the kernel in the middle of a copy: it makes races in the kernel "
     "winnable",
     kDeniedPageFaults},
    {"eBPF",
     "programs inside the kernel; the verifier that should tame them is a frequent source "
     "of escalations",
     kDeniedBpf},
    {"performance events",
     "see into the kernel and into other processes",
     kDeniedPerf},
    {"other processes",
     "reading and changing the memory and descriptors of other processes",
     kDeniedOtherProcesses},
    {"mounts",
     "a container's file system tree is what its isolation rests on",
     kDeniedMounts},
    {"the kernel itself",
     "loading code into the kernel, replacing or stopping it, reading its log",
     kDeniedKernel},
    {"file handles",
     "open files by inode number, past every mount",
     kDeniedFileHandles},
    {"file system events",
     "watch and hold up accesses of a whole file system",
     kDeniedFanotify},
    {"the clock",
     "it is the host's",
     kDeniedClock},
    {"hardware and legacy modes of the processor",
     "input and output ports, 16-bit segments, virtual 8086 mode: rarely used and often "
     "wrong in the kernel",
     kDeniedHardware},
    {"memory placement",
     "moves memory between nodes at the expense of others",
     kDeniedMemoryPlacement},
    {"the page cache",
     "tell and disturb what the host and other containers have in memory",
     kDeniedPageCache},
    {"terminal injection",
     "TIOCSTI and TIOCLINUX type into the terminal of whoever is attached",
     kDeniedTerminal},
    {"host names",
     "set by the engine; the name tells containers apart",
     kDeniedNames},
};

// clang-format on

}  // namespace bulkhead::isolation::seccomp
