#!/usr/bin/env python3
"""./dev lab: runs a command on another kernel, in a guest over this machine's own root file system.

The guest sees this machine's files read-only, with a tmpfs above: what the command writes is gone with
it. It has cgroup v2 alone, no network beyond its own loopback, and an ext4 disk at /disk, of which
/var/lib/bulkhead is a part. The command runs as root in this checkout's directory; its output and its
exit code are passed on. 124: the time was up; 125: the guest could not be booted, or died."""

import argparse
import os
import signal
import sys

import kernels
import machine


def arguments():
    parser = argparse.ArgumentParser(prog="./dev lab", description=__doc__.split("\n", 1)[1],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", choices=kernels.SERIES, default="6.12",
                        help="the series of Debian's kernel (default: 6.12)")
    parser.add_argument("--lsm", choices=machine.MODULES, default="apparmor",
                        help="the security module that is in force (default: apparmor)")
    parser.add_argument("--init", choices=("lab", "systemd"), default="lab",
                        help="PID 1: the lab's own, or systemd with the command as a service")
    parser.add_argument("--time-limit", type=float, default=600, metavar="SECONDS",
                        help="for the boot and the command together (default: 600)")
    parser.add_argument("--append", default="", metavar="WORDS",
                        help="more for the kernel's command line")
    parser.add_argument("--memory", type=int, default=2048, metavar="MIB")
    parser.add_argument("--accelerator", choices=machine.BOOT_LIMIT_SECONDS,
                        help="kvm or tcg; found out by booting otherwise")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND...")
    parsed = parser.parse_args()
    if parsed.command[:1] == ["--"]:
        del parsed.command[0]
    if not parsed.command:
        parser.error("a command is needed")
    return parsed


def run(wish):
    """Boots, and once more when the guest itself died; a command that failed is not repeated."""
    try:
        return machine.boot(wish)
    except machine.GuestDied as error:
        print(f"lab: {error}\nlab: booting once more", file=sys.stderr, flush=True)
    return machine.boot(wish)


def main():
    wanted = arguments()
    # A guest ends with us: so that what stands in `finally` runs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if os.geteuid() != 0:
            raise kernels.LabError("only root can share the whole root file system with a guest")
        kernel = kernels.obtain(wanted.kernel)
        accelerator = wanted.accelerator or machine.accelerator(kernel)
        return run(machine.Wish(kernel, wanted.command, kernels.ROOT, wanted.lsm, wanted.append,
                                wanted.init, wanted.memory, accelerator=accelerator,
                                time_limit=wanted.time_limit))
    except machine.TimeIsUp as error:
        print(f"lab: {error}", file=sys.stderr)
        return 124
    except kernels.LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 125


if __name__ == "__main__":
    sys.exit(main())
