#!/usr/bin/env python3
"""Prints the host's pid of the container that runs below a process.

    find_container.py PID

It is the descendant that is process 1 of a pid namespace and has executed its program.
"""

import os
import sys


def status(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except OSError:
        return {}


def main():
    ancestor = sys.argv[1]
    found = {entry: status(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    own = os.path.realpath(f"/proc/{ancestor}/exe")
    for pid, fields in found.items():
        numbers = fields.get("NSpid", "").split()
        if len(numbers) < 2 or numbers[-1] != "1":
            continue
        above = fields.get("PPid")
        while above in found and above != ancestor:
            above = found[above].get("PPid")
        # Until execve it is still a copy of the runtime.
        if above == ancestor and os.readlink(f"/proc/{pid}/exe") not in (own, ""):
            print(pid)
            return 0
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError:
        sys.exit(1)
