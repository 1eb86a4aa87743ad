#!/usr/bin/env python3
"""The limits of cgroup v2, by the runtime and by `bulkhead run`: each with what it stops, and with the
same act under a wider limit as the control."""

import json
import os
import subprocess
import sys
import time

from inside import (DISK, GROUPS, Suite, bulkhead, default_config, equal, expect, keys, main,
                    merge, says)

suite = Suite("cgroup v2")
EATER = "dd if=/dev/zero of=/dev/null bs=96M count=1 2>/dev/null"
BOMB = "for i in $(seq 40); do sleep 20 & done; echo all started"
READ = "cat /sys/fs/cgroup/"


def resources(**limits):
    return {"linux": {"resources": limits}}


@suite.test
def the_host_has_cgroup_v2_alone(_):
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        kinds = {line.split()[2] for line in mounts}
    expect("cgroup2" in kinds and "cgroup" not in kinds, f"mounted: {sorted(kinds)}")


@suite.test
def memory_max_ends_in_an_oom_kill(work):
    script = f"{EATER} && echo eaten; {READ}memory.max; {READ}memory.events"
    held = work.shell(script, resources(memory={"limit": 32 << 20, "swap": 32 << 20}))
    expect("eaten" not in held.stdout, f"96 MiB were eaten under a limit of 32: {held.stdout}")
    expect(str(32 << 20) in held.stdout.split(), f"memory.max: {held.stdout}")
    expect(keys(held.stdout)["oom_kill"] >= 1, held.stdout)
    free = work.shell(script)
    expect("eaten" in free.stdout, f"the control is stopped: {free.stdout} {free.stderr}")
    equal(keys(free.stdout)["oom_kill"], 0, "kills in the control")


@suite.test
def a_first_process_that_is_killed_for_memory_ends_with_137(work):
    done = work.run(merge(default_config(["sh", "-c", f"exec {EATER}"]),
                          resources(memory={"limit": 32 << 20})))
    equal(done.returncode, 137, f"exit code: {done.stderr}")
    done = bulkhead("run", "--rm", "--memory", "32m", "busybox", "sh", "-c", f"exec {EATER}")
    equal(done.returncode, 137, f"exit code of bulkhead run: {done.stderr}")
    expect("memory" in done.stderr, f"bulkhead run does not say why: {done.stderr!r}")


@suite.test
def cpu_max_throttles(work):
    busy = f"timeout 2 sh -c 'while :; do :; done'; {READ}cpu.max; {READ}cpu.stat"
    def used(changes):
        done = work.shell(busy, changes)
        return done.stdout, keys(done.stdout)
    text, stat = used(resources(cpu={"quota": 20000, "period": 100000}))
    expect("20000 100000" in text.splitlines(), f"cpu.max: {text}")
    expect(stat["nr_throttled"] > 0, f"never throttled: {stat}")
    _, control = used({})
    expect(stat["usage_usec"] < 0.6 * control["usage_usec"],
           f"{stat['usage_usec']} us under a fifth of a processor, {control['usage_usec']} us without")


@suite.test
def pids_max_stops_a_fork_bomb(work):
    held = work.shell(f"{BOMB}; true", resources(pids={"limit": 20}))
    expect("all started" not in held.stdout or "can't fork" in held.stderr, held.stdout + held.stderr)
    free = work.shell(BOMB, resources(pids={"limit": 200}))
    expect("all started" in free.stdout and "can't fork" not in free.stderr,
           f"the control is stopped: {free.stderr}")


@suite.test
def io_max_slows_writes_to_the_disk(work):
    disk = os.stat("/dev/vda").st_rdev
    place = DISK / "io"
    place.mkdir(exist_ok=True)
    volume = {"mounts": default_config()["mounts"] + [
        {"destination": "/data", "type": "bind", "source": str(place), "options": ["bind"]}]}
    # Written pages are accounted to whom the file belongs: each attempt makes one of its own.
    script = ("dd if=/dev/zero of=$(mktemp -p /data) bs=1M count=3 conv=fsync 2>/dev/null; "
              f"{READ}io.max")
    def seconds(**limits):
        began = time.monotonic()
        done = work.shell(script, merge(resources(**limits), volume))
        equal(done.returncode, 0, done.stderr)
        return time.monotonic() - began, done.stdout
    control, _ = seconds()
    rate = {"major": os.major(disk), "minor": os.minor(disk), "rate": 1 << 20}
    held, text = seconds(blockIO={"throttleWriteBpsDevice": [rate]})
    expect("wbps=1048576" in text, f"io.max: {text!r}")
    expect(held > control + 1.5, f"3 MiB took {held:.1f} s at 1 MiB/s, and {control:.1f} s without limit")


@suite.test
def a_cpuset_is_taken_and_one_of_absent_processors_refused(work):
    script = (f"echo set $({READ}cpuset.cpus); {READ}cpuset.cpus.effective; "
              "grep Cpus_allowed_list /proc/self/status")
    held = work.shell(script, resources(cpu={"cpus": "0"}))
    equal(held.stdout.split(), ["set", "0", "0", "Cpus_allowed_list:", "0"], held.stderr)
    refused = work.shell("echo ran", resources(cpu={"cpus": "4097"}))
    expect(refused.returncode != 0 and "ran" not in refused.stdout, refused.stdout)
    expect("/linux/resources/cpu/cpus" in refused.stderr, refused.stderr)


@suite.test
def a_device_off_the_list_cannot_be_opened(work):
    """The guest's own disk, by a node that the container makes."""
    disk = os.stat("/dev/vda").st_rdev
    numbers = {"type": "b", "major": os.major(disk), "minor": os.minor(disk)}
    script = (f"mknod /tmp/disk b {numbers['major']} {numbers['minor']} || echo no node; "
              "dd if=/tmp/disk of=/dev/null bs=512 count=1 2>/dev/null && echo ESCAPED; true")
    def attempt(*rules):
        root = work.own_root()
        capabilities = {kind: ["CAP_MKNOD", "CAP_DAC_OVERRIDE"]
                        for kind in ("bounding", "effective", "permitted")}
        done = work.run(merge(default_config(["sh", "-c", script]),
                              {"root": {"path": str(root)}, "process": {"capabilities": capabilities},
                               "linux": {"resources": {"devices": list(rules)}}}))
        equal((done.returncode, "no node" in done.stdout), (0, False), done.stderr)
        return done.stdout
    nothing = {"allow": False, "access": "rwm"}
    expect("ESCAPED" in attempt(nothing, {"allow": True, "access": "rwm", **numbers}),
           "the control, with the disk on its list, cannot read it either")
    expect("ESCAPED" not in attempt(nothing, {"allow": True, "access": "m", **numbers}),
           "the host's disk was read")


@suite.test
def limits_change_while_it_runs(work):
    name = work.new_id()
    bundle = work.bundle(merge(default_config(["sleep", "1000"]),
                               resources(memory={"limit": 64 << 20}, pids={"limit": 30})))
    with open(work.directory / "out", "w", encoding="utf-8") as out:
        made = subprocess.run(work.command("run", "--detach", "--bundle", bundle, name), check=False,
                              stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=60)
    equal(made.returncode, 0, (work.directory / "out").read_text())
    group = GROUPS / "bulkhead-runtime" / name
    try:
        equal((group / "memory.max").read_text().strip(), str(64 << 20), "memory.max")
        done = work.call("update", "--memory", 48 << 20, "--pids-limit", "40", name)
        equal(done.returncode, 0, f"update: {done.stderr}")
        equal((group / "memory.max").read_text().strip(), str(48 << 20), "memory.max, updated")
        equal((group / "pids.max").read_text().strip(), "40", "pids.max, updated")
        equal(work.call("exec", name, "cat", "/proc/self/cgroup").stdout, "0::/\n", "group of exec")
        equal(work.call("pause", name).returncode, 0, "pause")
        equal(json.loads(work.call("state", name).stdout)["status"], "paused")
        equal(keys((group / "cgroup.events").read_text())["frozen"], 1, "frozen")
        equal(work.call("resume", name).returncode, 0, "resume")
        stats = json.loads(work.call("events", "--stats", name).stdout)["data"]
        equal(stats["memory"]["usage"]["limit"], 48 << 20, "the limit in the statistics")
    finally:
        equal(work.call("delete", "--force", name).returncode, 0, "delete")
    expect(not group.exists(), f"{group} is still there")


@suite.test
def a_container_cannot_lift_its_limits(work):
    script = ("echo max > /sys/fs/cgroup/pids.max && echo ESCAPED; "
              "mkdir /sys/fs/cgroup/x && echo ESCAPED; true")
    held = work.shell(script)
    expect("ESCAPED" not in held.stdout, held.stdout)
    mounts = [mount for mount in default_config()["mounts"] if mount["type"] != "cgroup"]
    mounts.append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                   "options": ["nosuid", "noexec", "nodev", "relatime"]})
    free = work.shell(script, {"mounts": mounts})
    expect("ESCAPED" in free.stdout, f"the control, mounted for writing, is stopped: {free.stderr}")


@suite.test
def bulkhead_run_sets_its_limits(_):
    files = ("memory.max", "cpu.max", "pids.max")
    script = "cd /sys/fs/cgroup && cat " + " ".join(files) + "; cat /proc/self/cgroup"
    text = says("--memory", "64m", "--cpus", "0.5", "--pids-limit", "77", "busybox", "sh", "-c", script)
    equal(text.splitlines(), [str(64 << 20), "50000 100000", "77", "0::/"], "limits")
    held = bulkhead("run", "--rm", "--pids-limit", "20", "busybox", "sh", "-c", f"{BOMB}; true")
    expect("all started" not in held.stdout or "can't fork" in held.stderr, held.stdout + held.stderr)


if __name__ == "__main__":
    sys.exit(main(suite))
