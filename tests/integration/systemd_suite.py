#!/usr/bin/env python3
"""The systemd cgroup driver, with a real systemd."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import RUNTIME, default_config, unpack_busybox
from support.harness import Skip, Suite, equal, expect
from systemd_host import Systemd, shared_directory

suite = Suite("systemd")
SLICE = "bulkhead-test.slice"
PLACE = ("bulkhead.slice", SLICE)


class Work:
    """A systemd, and the runtime inside of its namespaces."""

    def __init__(self, directory, systemd):
        self.directory, self.systemd, self.count = directory, systemd, 0
        (directory / "rootfs").mkdir()
        unpack_busybox(directory / "rootfs")
        # Wherever it was built, /tmp say: only this directory is sure to be seen from inside.
        self.program = shutil.copy(RUNTIME, directory / "bulkhead-runtime")

    def bundle(self, args=("sleep", "100"), path=None, resources=None, annotations=None):
        self.count += 1
        name = f"c{self.count}"
        config = default_config(list(args))
        config["root"]["path"] = str(self.directory / "rootfs")
        config["linux"]["resources"] = resources or {}
        config["linux"]["cgroupsPath"] = path or f"{SLICE}:bh:{name}"
        if annotations:
            config["annotations"] = annotations
        bundle = self.directory / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return name, bundle

    def runtime(self, *arguments, driver="--systemd-cgroup", **more):
        return self.systemd.call(self.program, *([driver] if driver else []), "--root",
                                 self.directory / "state", *arguments, **more)

    def good(self, *arguments, **more):
        done = self.runtime(*arguments, **more)
        equal(done.returncode, 0, f"{arguments[0]}: {done.stderr}")
        return done.stdout

    def gone(self, name, scope):
        deadline = time.monotonic() + 60
        while (unit := self.systemd.shown(scope, "LoadState", "ActiveState"))[
                "ActiveState"] not in ("inactive", "") or unit["LoadState"] == "loaded":
            expect(time.monotonic() < deadline, f"the scope is still there: {unit}")
            time.sleep(0.05)
        left = [path for path, _, _ in os.walk(self.systemd.group) if scope in path]
        equal(left, [], f"groups of {name}")


@contextlib.contextmanager
def running(work, **more):
    name, bundle = work.bundle(**more)
    # Not through pipes: the container would hold them open.
    with open(work.directory / f"{name}.log", "w+", encoding="utf-8") as log:
        done = subprocess.run(
            work.systemd.command(work.program, "--systemd-cgroup", "--root", work.directory / "state",
                                 "run", "--detach", "--bundle", bundle, name),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60, check=False)
        log.seek(0)
        equal(done.returncode, 0, log.read())
    try:
        yield name, f"bh-{name}.scope"
    finally:
        work.runtime("delete", "--force", name)


@suite.test
def a_container_is_a_scope_in_its_slice(work):
    with running(work, annotations={"org.systemd.property.TimeoutStopSec": "uint64 5",
                                    "org.systemd.property.Description": "'a container'"}) as (
                                        name, scope):
        shown = work.systemd.shown(scope, "Slice", "Delegate", "ControlGroup", "ActiveState",
                                   "TimeoutStopUSec", "Description")
        equal(shown, {"Slice": SLICE, "Delegate": "yes", "ActiveState": "active",
                      "ControlGroup": "/" + "/".join([*PLACE, scope]), "TimeoutStopUSec": "5s",
                      "Description": "a container"}, "the unit")
        group = work.systemd.inside(*PLACE, scope)
        equal(len((group / "cgroup.procs").read_text().split()), 1, "processes in the group")
        equal(work.good("exec", name, "cat", "/proc/self/cgroup").splitlines()[-1], "0::/",
              "the cgroup namespace's root")
    work.gone(name, scope)


@suite.test
def the_life_of_a_container_is_as_with_the_other_driver(work):
    with running(work, args=["sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done"]) as (
            name, scope):
        said = work.directory / f"{name}.log"
        deadline = time.monotonic() + 60
        while "up" not in said.read_text(encoding="utf-8"):
            expect(time.monotonic() < deadline, "its trap does not stand")
            time.sleep(0.05)
        work.good("pause", name)
        events = (work.systemd.inside(*PLACE, scope) / "cgroup.events").read_text()
        expect("frozen 1" in events, events)
        work.good("resume", name)
        work.good("kill", name, "TERM")
        deadline = time.monotonic() + 60
        while json.loads(work.good("state", name))["status"] != "stopped":
            expect(time.monotonic() < deadline, "it does not stop")
            time.sleep(0.05)
        work.good("delete", name)
        work.gone(name, scope)
    name, bundle = work.bundle(args=["sh", "-c", "exit 7"])
    equal(work.runtime("run", "--bundle", bundle, name).returncode, 7, "run")
    work.gone(name, f"bh-{name}.scope")


@suite.test
def devices_are_denied_after_a_reload_too(work):
    """What systemd knows of the list is what it writes again: a device that is not on it stays shut."""
    open_it = ("exec", "sh", "-c", "mknod /tmp/d b 7 0 2>/dev/null; cat /tmp/d >/dev/null")
    with running(work, resources={"devices": [{"allow": False, "access": "rwm"}]}) as (name, scope):
        shown = work.systemd.shown(scope, "DevicePolicy", "DeviceAllow")
        equal(shown["DevicePolicy"], "strict")
        for when in ("before", "after"):
            done = work.runtime(open_it[0], name, "cat", "/dev/null")
            equal(done.returncode, 0, f"{when}: /dev/null: {done.stderr}")
            done = work.runtime(open_it[0], "--cap", "CAP_MKNOD", name, *open_it[1:])
            expect("not permitted" in done.stderr, f"{when}: {done}")
            equal(work.systemd.call("systemctl", "daemon-reload").returncode, 0, "reload")


@suite.test
def limits_are_the_units_and_the_groups(work):
    there = (work.systemd.group / "cgroup.controllers").read_text().split()
    wanted = {"memory", "cpu", "pids"}
    if not wanted <= set(there):
        raise Skip(f"the v2 hierarchy of this host lacks {' '.join(sorted(wanted - set(there)))}")
    with running(work, resources={"memory": {"limit": 64 << 20}, "pids": {"limit": 20},
                                  "cpu": {"quota": 33333, "period": 100000}}) as (name, scope):
        shown = work.systemd.shown(scope, "MemoryMax", "TasksMax", "CPUQuotaPerSecUSec")
        equal(shown, {"MemoryMax": str(64 << 20), "TasksMax": "20",
                      "CPUQuotaPerSecUSec": "340ms"}, "the unit")
        group = work.systemd.inside(*PLACE, scope)
        equal((group / "cpu.max").read_text().strip(), "33333 100000", "cpu.max, not rounded")
        work.good("update", "--pids-limit", "33", name)
        equal(work.systemd.shown(scope, "TasksMax")["TasksMax"], "33")
        work.systemd.call("systemctl", "daemon-reload")
        equal((group / "pids.max").read_text().strip(), "33", "pids.max after a reload")


@suite.test
def a_scope_that_is_taken_is_an_error(work):
    with running(work) as (name, scope):
        path = f"{SLICE}:bh:{name}"
        other, bundle = work.bundle(path=path)
        done = work.runtime("create", "--bundle", bundle, other)
        expect(done.returncode == 1 and scope in done.stderr, str(done))
        equal(work.runtime("state", other).returncode, 1, "its state is gone")
        equal(work.systemd.shown(scope, "ActiveState")["ActiveState"], "active", "the first")
    for path, words in (("/a/b", "slice:prefix:name"), ("a:b", "slice:prefix:name"),
                        ("a.slice:b:c.slice", "names a slice"), ("a..b:c:d", "name of a slice"),
                        ("a.slice:b:c d", "does not take")):
        name, bundle = work.bundle(path=path)
        done = work.runtime("create", "--bundle", bundle, name)
        expect(done.returncode == 1 and words in done.stderr, f"{path}: {done}")
    name, bundle = work.bundle(annotations={"org.systemd.property.NoSuchProperty": "true"})
    done = work.runtime("create", "--bundle", bundle, name)
    expect(done.returncode == 1 and "NoSuchProperty" in done.stderr, str(done))
    work.gone(name, f"bh-{name}.scope")


@suite.test
def without_a_systemd_it_says_so(work):
    name, bundle = work.bundle()
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                           'mount -t tmpfs tmpfs /run && exec "$@"', "sh", work.program,
                           "--systemd-cgroup", "--root", work.directory / "state", "run",
                           "--bundle", bundle, name], capture_output=True, text=True, check=False)
    expect(done.returncode == 1 and "no systemd listens" in done.stderr, str(done))


def main():
    try:
        with shared_directory() as directory, Systemd(directory) as systemd:
            return suite.main(Work(directory, systemd))
    except Skip as reason:
        print(f"SKIP systemd — {reason}", flush=True)
        return 0


if __name__ == "__main__":
    sys.exit(main())
