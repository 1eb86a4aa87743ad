#!/usr/bin/env python3
"""Prints what isolates a process, as the kernel shows it in /proc: no word of Bulkhead's is believed.

    show_layers.py PID

Exit code 1 when a layer that every container has is missing.
"""

import glob
import os
import sys

CAPABILITIES = """chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap
linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module
sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time
sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog
wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore""".split()
SHARED = "shared with the host"


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n")
    except OSError:
        return ""


class Process:
    def __init__(self, pid):
        self.directory = f"/proc/{pid}"
        self.status = dict(line.split(":\t", 1) for line in
                           read(f"{self.directory}/status").splitlines() if ":\t" in line)
        self.mounts = []
        for line in read(f"{self.directory}/mountinfo").splitlines():
            left, right = line.split(" - ", 1)
            fields = left.split(" ")
            self.mounts.append((fields[4], fields[5].split(","), right.split(" ")[0]))

    def namespace(self, kind):
        link = f"{self.directory}/ns/{kind}"
        try:
            return os.readlink(link) != os.readlink(f"/proc/self/ns/{kind}")
        except OSError:
            return False

    def ids(self, kind):
        ranges = []
        for line in read(f"{self.directory}/{kind}_map").splitlines():
            inside, outside, count = map(int, line.split())
            ranges.append(f"{inside}-{inside + count - 1} are {outside}-{outside + count - 1}")
        return ", ".join(ranges)

    def capabilities(self, name):
        bits = int(self.status.get(name, "0"), 16)
        return [text for number, text in enumerate(CAPABILITIES) if bits >> number & 1]

    def limits(self):
        """The limits of its cgroups that say more than `as much as you like`."""
        found = {}
        for line in read(f"{self.directory}/cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            for mount in open("/proc/self/mountinfo", encoding="utf-8"):
                point = mount.split(" ")[4]
                kind = mount.split(" - ")[1].split(" ")[0]
                options = mount.strip().split(" ")[-1].split(",")
                wanted = kind == "cgroup2" if not controllers else (
                    kind == "cgroup" and controllers.split(",")[0] in options)
                if not wanted:
                    continue
                for name in ("pids.max", "memory.max", "memory.limit_in_bytes", "cpu.max"):
                    value = read(f"{point}{path}/{name}")
                    if not value or value.startswith("max") or (
                            value.isdigit() and int(value) >= 1 << 60):
                        continue
                    if name.startswith("memory"):
                        value = f"{int(value) >> 20} MiB"
                    found[name] = value
        return found


def rows(process):
    """(layer, in force, what the kernel shows); in force is None where it is only information."""
    kinds = {"user": "user ids", "pid": "process ids", "mnt": "mounts", "net": "network",
             "ipc": "IPC", "uts": "host name", "cgroup": "cgroup view", "time": "boot clock"}
    details = {
        "user": f"ids {process.ids('uid')} of the host",
        "pid": f"it is process {process.status.get('NSpid', '?').split()[-1]} inside",
        "net": "interfaces: " + " ".join(
            line.split(":")[0].strip()
            for line in read(f"{process.directory}/net/dev").splitlines()[2:]),
        "mnt": f"{len(process.mounts)} mounts of its own",
    }
    for kind, what in kinds.items():
        own = process.namespace(kind)
        text = details.get(kind, "its own") if own else SHARED
        yield f"{kind.replace('mnt', 'mount')} namespace", own if own or kind != "time" else None, \
            f"{what}: {text}"
    root = next((mount for mount in process.mounts if mount[0] == "/"), None)
    if root:
        yield "root", None, f"{root[2]}, {'read-only' if 'ro' in root[1] else 'writable'}"
    covered = [point for point, options, _ in process.mounts
               if point.startswith(("/proc/", "/sys/")) and "ro" in options]
    yield "masks", bool(covered), f"{len(covered)} paths of /proc and /sys hidden or read-only"
    yield "devices", None, " ".join(sorted(
        os.path.basename(path) for path in glob.glob(f"{process.directory}/root/dev/*")))
    limits = process.limits()
    yield "limits", bool(limits), ", ".join(f"{k} {v}" for k, v in sorted(limits.items())) or "none"
    bounding = process.capabilities("CapBnd")
    yield "capabilities", len(bounding) < len(CAPABILITIES), \
        f"{len(bounding)} of {len(CAPABILITIES)} left: {' '.join(bounding) or 'none'}"
    held = process.status.get("NoNewPrivs") == "1"
    yield "no new privileges", held, "set" if held else "not set"
    filtered = process.status.get("Seccomp") == "2"
    count = process.status.get("Seccomp_filters", "?")
    yield "seccomp", filtered, f"{count} filter on system calls" if filtered else "no filter"
    label = read(f"{process.directory}/attr/current")
    yield "LSM label", None, label or "this kernel has no AppArmor and no SELinux"
    descriptors = sorted(int(name) for name in os.listdir(f"{process.directory}/fd"))
    yield "open files", descriptors == [0, 1, 2], " ".join(map(str, descriptors))


def main():
    if len(sys.argv) != 2 or not os.path.isdir(f"/proc/{sys.argv[1]}"):
        sys.exit("usage: show_layers.py PID")
    table = list(rows(Process(sys.argv[1])))
    width = max(len(layer) for layer, _, _ in table)
    for layer, force, text in table:
        mark = {True: "yes", False: "NO", None: ""}[force]
        print(f"  {layer:<{width}}  {mark:<3}  {text}")
    missing = [layer for layer, force, _ in table if force is False]
    if missing:
        print(f"\nNot in force: {', '.join(missing)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
