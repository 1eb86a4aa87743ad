#!/usr/bin/env python3
"""Files of the kernel that tell a container about its host or its neighbours: nothing is read of them
under `bulkhead run`'s defaults, and with the masks taken away the same files do speak."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.harness import Skip, Suite, expect

suite = Suite("leak")
BULKHEAD = os.environ["BULKHEAD"]

# ContainerLeaks (2017) and what was found since, as far as common programs do without it.
PATHS = [
    "/proc/locks", "/proc/zoneinfo", "/proc/modules", "/proc/timer_list", "/proc/sched_debug",
    "/proc/softirqs", "/proc/interrupts", "/proc/schedstat", "/proc/diskstats", "/proc/buddyinfo",
    "/proc/partitions", "/proc/swaps", "/proc/cmdline", "/proc/key-users", "/proc/keys",
    "/proc/sys/fs/dentry-state", "/proc/sys/fs/inode-nr", "/proc/sys/fs/inode-state",
    "/proc/pressure/cpu", "/proc/fs/ext4/*/mb_groups", "/sys/fs/ext4/*/lifetime_write_kbytes",
    "/sys/firmware/*", "/sys/devices/virtual/powercap/*/energy_uj",
    "/sys/devices/virtual/thermal/*/temp", "/sys/kernel/slab/*",
]


def speaking(*options):
    """The paths of which a container reads at least a byte (or, for a directory, a name)."""
    script = "\n".join(
        f'for f in {path}; do [ -e "$f" ] && [ -n "$( (ls -A "$f/" 2>/dev/null; cat "$f") 2>/dev/null'
        f' | head -c 16 | tr -d "\\0")" ] && echo {path!r} && break; done' for path in PATHS)
    done = subprocess.run([BULKHEAD, "run", "--rm", *options, "busybox", "sh", "-c", script],
                          capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL)
    expect(not done.stderr.strip(), done.stderr)
    return set(done.stdout.split())


@suite.test
def what_tells_about_the_host_is_silent():
    control = speaking("--security-opt", "systempaths=unconfined")
    expect(len(control) >= 10, f"the control reads too little to show anything: {sorted(control)}")
    silent = speaking()
    expect(not silent, f"still speaking: {sorted(silent)}")


@suite.test
def the_uptime_is_the_containers_own():
    """The time namespace: the host's uptime is not to be had."""
    def uptime(*options):
        done = subprocess.run([BULKHEAD, "run", "--rm", *options, "busybox", "cat", "/proc/uptime"],
                              capture_output=True, text=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL)
        return float(done.stdout.split()[0])
    host = float(pathlib.Path("/proc/uptime").read_text().split()[0])
    if host < 60:
        raise Skip("the host has only just started: the uptimes cannot be told apart")
    expect(uptime() < 30, "the host's uptime is visible")


def main():
    if os.geteuid() != 0:
        print("SKIP leak — needs root")
        return 0
    return suite.main()


if __name__ == "__main__":
    sys.exit(main())
