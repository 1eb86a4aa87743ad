// What `bulkhead` masks and makes read-only in the specifications that it writes itself: Docker's
// list, and further files that tell a container about its host or its neighbours and that no common
// program needs. The runtime masks what its caller's specification lists, no more.
//
// Left open, because common programs read them: /proc/cpuinfo, meminfo, stat, uptime, loadavg,
// version, vmstat (nproc, free, top, vmstat, the JVM, the start-up of Go and glibc),
// /proc/sys/kernel/random (D-Bus, journald), /proc/sys/fs/file-nr, /sys/devices/system/node and cpu
// (NUMA-aware allocators), /sys/block (rotational or not). What they tell is not isolated.
#pragma once

#include <array>
#include <string_view>

namespace bulkhead::isolation {

// Of what only root of the host can read, and not root of a user namespace.
enum class Reader { kAnyone, kHostRoot };

struct DefaultPath {
  std::string_view path;
  std::string_view reason;
  Reader reader = Reader::kAnyone;
};

inline constexpr std::array kDefaultMaskedPaths = {
    // Docker's, but for /proc/timer_stats, which is gone since Linux 4.11.
    DefaultPath{"/proc/acpi", "wakes, sleeps and configures the host's hardware"},
    DefaultPath{"/proc/asound", "the host's sound devices: who is logged in and listening"},
    DefaultPath{"/proc/interrupts", "interrupt counts: keystroke and network timing of the host"},
    DefaultPath{"/proc/kcore", "the kernel's memory"},
    DefaultPath{"/proc/keys", "names of keys of other containers of the same user"},
    DefaultPath{"/proc/latency_stats", "where the host's processes wait"},
    DefaultPath{"/proc/sched_debug", "names and cgroups of every process on the host"},
    DefaultPath{"/proc/scsi", "removes the host's disks from the kernel"},
    DefaultPath{"/proc/timer_list", "processes of the host by their timers, and kernel addresses"},
    DefaultPath{"/sys/devices/virtual/powercap",
                "power meters precise enough to recover keys (PLATYPUS)"},
    DefaultPath{"/sys/firmware", "firmware tables and EFI variables"},
    // Further ones: activity of the neighbours, moment by moment.
    DefaultPath{"/proc/buddyinfo",
                "free memory of the host in detail: a signal between containers"},
    DefaultPath{"/proc/diskstats", "input and output of the neighbours"},
    DefaultPath{"/proc/fs", "block groups and journals of the host's file systems"},
    DefaultPath{"/proc/locks", "file locks of every process on the host"},
    DefaultPath{"/proc/pressure", "load of the host; a container's own is in its cgroup"},
    DefaultPath{"/proc/schedstat", "run queues of the host: load of the neighbours"},
    DefaultPath{"/proc/softirqs", "network and timer activity of the host per processor"},
    DefaultPath{"/proc/zoneinfo", "memory of the host in detail: a signal between containers"},
    DefaultPath{"/proc/sys/fs/dentry-state", "file activity of the neighbours"},
    DefaultPath{"/proc/sys/fs/inode-nr", "file activity of the neighbours"},
    DefaultPath{"/proc/sys/fs/inode-state", "file activity of the neighbours"},
    DefaultPath{"/sys/fs/cgroup/net_prio/net_prio.ifpriomap", "network interfaces of the host"},
    DefaultPath{"/sys/fs/ext4", "bytes written to the host's file systems"},
    DefaultPath{"/sys/devices/virtual/thermal", "temperature: load of the host"},
    DefaultPath{"/sys/devices/platform/coretemp.0", "temperature: load of the host"},
    // What the host is made of.
    DefaultPath{"/proc/cmdline", "how the host was started, at times with secrets"},
    DefaultPath{"/proc/key-users", "how many keys every user of the host holds"},
    DefaultPath{"/proc/modules", "the kernel modules of the host, with their use"},
    DefaultPath{"/proc/partitions", "the host's disks"},
    DefaultPath{"/proc/swaps", "the host's disks and how full they are"},
    // What root of the host could read.
    DefaultPath{"/proc/iomem", "physical layout of the host's memory", Reader::kHostRoot},
    DefaultPath{"/proc/kallsyms", "where the kernel's functions lie", Reader::kHostRoot},
    DefaultPath{"/proc/kmsg", "the kernel's log", Reader::kHostRoot},
    DefaultPath{"/proc/kpagecgroup", "which cgroup every page belongs to", Reader::kHostRoot},
    DefaultPath{"/proc/kpagecount", "how often every page is mapped", Reader::kHostRoot},
    DefaultPath{"/proc/kpageflags", "the state of every page", Reader::kHostRoot},
    DefaultPath{"/proc/pagetypeinfo", "free memory of the host in detail", Reader::kHostRoot},
    DefaultPath{"/proc/slabinfo", "kernel objects by kind: heap grooming", Reader::kHostRoot},
    DefaultPath{"/proc/vmallocinfo", "kernel memory and who asked for it", Reader::kHostRoot},
    DefaultPath{"/sys/kernel/slab", "kernel objects by kind: heap grooming", Reader::kHostRoot},
};

inline constexpr std::array kDefaultReadonlyPaths = {
    // Docker's; /proc/fs is masked above.
    DefaultPath{"/proc/bus", "writes to the configuration of the host's PCI devices"},
    DefaultPath{"/proc/irq", "moves the host's interrupts between processors"},
    DefaultPath{"/proc/sys", "kernel parameters, most of which are the whole host's"},
    DefaultPath{"/proc/sysrq-trigger", "crashes or restarts the host"},
    // Further ones.
    DefaultPath{"/proc/mtrr", "changes how the processor caches physical memory"},
};

}  // namespace bulkhead::isolation
