#!/usr/bin/env python3
"""A cgroup v2 group that was handed to a user by its owner alone, without systemd: the limits of that
user's containers hold; where nothing was handed over they are refused."""

import json
import os
import shutil
import subprocess
import sys

from inside import GROUPS, Suite, equal, expect, main

suite = Suite("delegation")
USER = 1000
DELEGATED = GROUPS / "delegated"
EATER = ("dd if=/dev/zero of=/dev/null bs=96M count=1 2>/dev/null && echo eaten; "
         "cat /sys/fs/cgroup/memory.events")


def delegate(*groups):
    for group in groups:
        group.mkdir(exist_ok=True)
        for file in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
            os.chown(group / file, USER, USER)


def bundle_of(work, **resources):
    """A bundle that the user owns, with a program that it can read."""
    place = work.directory / f"user{next(work.numbers)}"
    place.mkdir()
    shutil.copy(work.runtime, place / "runtime")
    subprocess.run(["cp", "-a", str(work.rootfs), str(place / "rootfs")], check=True)
    subprocess.run([work.runtime, "spec", "--rootless", "--bundle", str(place)], check=True)
    config = json.loads((place / "config.json").read_text())
    config["process"].update(terminal=False, args=["sh", "-c", EATER])
    config["root"]["readonly"] = False
    config["linux"]["resources"] = resources
    config["linux"]["uidMappings"][0]["hostID"] = USER
    config["linux"]["gidMappings"][0]["hostID"] = USER
    config["mounts"] = [mount for mount in config["mounts"]
                        if mount["destination"] != "/sys/fs/cgroup"]
    config["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]})
    if not any(one["type"] == "cgroup" for one in config["linux"]["namespaces"]):
        config["linux"]["namespaces"].append({"type": "cgroup"})
    (place / "config.json").write_text(json.dumps(config))
    subprocess.run(["chown", "-R", f"{USER}:{USER}", str(place)], check=True)
    return place


def run(work, group, **resources):
    """As the user, from within a group."""
    place = bundle_of(work, **resources)
    def enter():
        (group / "cgroup.procs").write_text("0")
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    return subprocess.run([str(place / "runtime"), "--root", str(place / "state"), "run",
                           "--bundle", str(place), f"user-{os.getpid()}"],
                          cwd=place, preexec_fn=enter, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=120, check=False,
                          env={"PATH": os.environ["PATH"]})


def remove(group):
    """The group and what is beneath it, from the bottom: none may hold a process."""
    for directory, _, _ in os.walk(group, topdown=False):
        os.rmdir(directory)


@suite.test
def limits_hold_in_a_delegated_group(work):
    delegate(DELEGATED, DELEGATED / "caller")
    try:
        held = run(work, DELEGATED / "caller", memory={"limit": 32 << 20}, pids={"limit": 50})
        equal(held.returncode, 0, held.stderr)
        expect("eaten" not in held.stdout, f"96 MiB were eaten under a limit of 32: {held.stdout}")
        expect("oom_kill 0" not in held.stdout and "oom_kill" in held.stdout, held.stdout)
        free = run(work, DELEGATED / "caller", memory={"limit": 256 << 20})
        expect("eaten" in free.stdout, f"the control is stopped: {free.stdout} {free.stderr}")
        left = [path.name for path in DELEGATED.glob("bulkhead-runtime/*/")]
        equal(left, [], "groups of containers that are left")
    finally:
        remove(DELEGATED)


@suite.test
def a_group_that_holds_its_caller_is_explained(work):
    """cgroup v2 shares resources out only among groups without processes of their own."""
    delegate(DELEGATED)
    try:
        done = run(work, DELEGATED, memory={"limit": 32 << 20})
        equal((done.returncode, done.stdout), (1, ""), done.stderr)
        expect("group of their own" in done.stderr, f"no way out is shown: {done.stderr}")
        free = run(work, DELEGATED)
        expect("eaten" in free.stdout or free.returncode == 0, f"without limits: {free.stderr}")
    finally:
        remove(DELEGATED)


@suite.test
def without_delegation_limits_are_refused_and_nothing_else(work):
    group = GROUPS / "not-delegated"
    group.mkdir()
    # Only to get in: the group is root's.
    os.chown(group / "cgroup.procs", USER, USER)
    try:
        done = run(work, group, memory={"limit": 32 << 20})
        equal((done.returncode, done.stdout), (1, ""), done.stderr)
        expect("/linux/resources/memory/limit" in done.stderr and "delegated" in done.stderr,
               done.stderr)
        equal([path.name for path in group.glob("*/")], [], "groups that are left")
        equal(run(work, group).returncode, 0, "without limits it starts")
    finally:
        remove(group)


if __name__ == "__main__":
    sys.exit(main(suite))
