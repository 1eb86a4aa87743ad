#!/usr/bin/env python3
"""SIGKILL at random moments of create, run, exec and delete: `delete --force` must always be able to
remove what is left, and then nothing is: no cgroup, mount, process or state."""

import os
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import FULL, Traces, Workshop, default_config
from support.harness import Suite, expect

suite = Suite("kill")
ROUNDS = 500 if FULL else 60


def timed(command):
    begin = time.monotonic()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False, timeout=60)
    return time.monotonic() - begin


def kill_within(command, longest):
    """Starts the command and kills it at a random moment; whether it was still alive then."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    deadline = time.perf_counter() + random.uniform(0, longest)
    while time.perf_counter() < deadline:
        pass
    alive = process.poll() is None
    process.kill()
    process.wait()
    return alive


def campaign(work, prepare, victim):
    """`prepare(id)` makes what the victim needs; `victim(id)` is the command that is killed."""
    probes = []
    # The first one after a pause takes several times as long as those that follow it.
    for _ in range(4):
        name = "probe" + work.new_id()
        prepare(name)
        probes.append(timed(victim(name)))
        work.call("delete", "--force", name)
    longest = max(min(probes), 0.002) * 1.2
    hits = 0
    for _ in range(ROUNDS):
        name = f"killed{work.new_id()}"
        traces = Traces(name)
        prepare(name)
        hits += kill_within(victim(name), longest)
        # A process that has lost its runtime ends by itself, or is there for delete to end.
        done = work.call("delete", "--force", name)
        expect(done.returncode == 0, f"delete --force: {done.returncode}: {done.stderr}")
        left = traces.leftovers()
        expect(not left, f"left behind after the kill: {left[:5]}")
        expect(not (work.state / name).exists(), "the state directory is still there")
    expect(hits >= ROUNDS // 4, f"only {hits} of {ROUNDS} kills met a living process")


@suite.test
def create_can_be_killed_at_any_moment(work):
    bundle = work.bundle(default_config(["sleep", "1000"]))
    campaign(work, lambda name: None,
             lambda name: work.command("create", "--bundle", bundle, name))


@suite.test
def run_can_be_killed_at_any_moment(work):
    bundle = work.bundle(default_config(["true"]))
    campaign(work, lambda name: None, lambda name: work.command("run", "--bundle", bundle, name))


@suite.test
def exec_can_be_killed_at_any_moment(work):
    bundle = work.bundle(default_config(["sleep", "1000"]))
    campaign(work, detached(work, bundle), lambda name: work.command("exec", name, "true"))


@suite.test
def delete_can_be_killed_at_any_moment(work):
    bundle = work.bundle(default_config(["sleep", "1000"]))
    campaign(work, detached(work, bundle), lambda name: work.command("delete", "--force", name))


def detached(work, bundle):
    def prepare(name):
        # Not through pipes: the container would hold them open.
        code = subprocess.run(work.command("run", "--detach", "--bundle", bundle, name),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False, timeout=60).returncode
        expect(code == 0, f"run --detach: exit code {code}")
    return prepare


def main():
    if os.geteuid() != 0:
        print("SKIP kill — needs root")
        return 0
    random.seed(os.environ.get("BULKHEAD_SEED", "bulkhead"))
    with Workshop() as work:
        return suite.main(work)


if __name__ == "__main__":
    sys.exit(main())
