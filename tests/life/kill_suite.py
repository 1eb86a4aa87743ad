#!/usr/bin/env python3
"""SIGKILL of the command, of the launcher, of the monitor and of the container at random moments: no
container is lost, and removal always takes everything."""

import os
import pathlib
import random
import subprocess
import sys
import time

from life_support import IDLE, nothing_left, run_suite, until
from support.bundles import FULL, processes_of
from support.harness import Suite, equal, expect

suite = Suite("kill")
ROUNDS = 500 if FULL else 25
SETTLED = {"created", "running", "exited", "dead"}


def children(pid):
    try:
        return [int(child) for child in
                pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def run_in_background(host, *flags, command=IDLE):
    return subprocess.Popen(host.command("run", "-d", *flags, "busybox", *command),
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def duration(host):
    """How long a start takes here, about."""
    times = []
    for _ in range(3):
        begin = time.monotonic()
        run_in_background(host, "--rm").wait()
        times.append(time.monotonic() - begin)
        host.remove_all()
    return min(times)


def settle_and_remove(host):
    """Everything that is on its way comes to an end; what there is then can be removed without a trace."""
    until(lambda: not list(processes_of(str(host.store))), "all commands ended")
    until(lambda: {c["status"] for c in host.containers()} <= SETTLED, "the containers' states")
    containers = host.containers()
    for container in containers:
        if container["status"] == "dead":
            host.clear_dead()
        else:
            host.good("rm", "--force", container["id"])
    equal(host.containers(), [])
    for container in containers:
        nothing_left(host, container["id"])
    until(lambda: not any((host.runroot / place).exists() and os.listdir(host.runroot / place)
                          for place in ("runtime", "monitor")), "the run directory is empty")
    equal(os.listdir(host.store / "containers"), [], "what containers wrote")
    return containers


def sleep_until(deadline):
    while time.perf_counter() < deadline:
        pass


def kill(pid):
    try:
        os.kill(pid, 9)
        return True
    except ProcessLookupError:
        return False


@suite.test
def the_command_can_be_killed_at_any_moment(host):
    longest = duration(host) * 1.2
    hits = 0
    for number in range(ROUNDS):
        process = run_in_background(host, *(["--rm"] if number % 2 else []))
        sleep_until(time.perf_counter() + random.uniform(0, longest))
        hits += process.poll() is None
        process.kill()
        process.wait()
        settle_and_remove(host)
    expect(hits >= ROUNDS // 4, f"only {hits} kills met a living command")


def kill_descendant(host, generation):
    """The monitor is the command's child, the launcher the monitor's first one."""
    longest = duration(host) * 1.2
    hits = survived = 0
    for number in range(ROUNDS):
        process = run_in_background(host, *(["--rm"] if number % 2 else []))
        begin = time.perf_counter()
        victims = []
        while process.poll() is None and not victims:
            victims = [process.pid]
            for _ in range(generation):
                victims = [child for victim in victims for child in children(victim)]
        # Most of them while the container starts, some of the monitors once it runs.
        if generation == 1 and number % 5 == 4:
            process.wait(timeout=60)
        else:
            sleep_until(begin + random.uniform(0, longest))
        hits += any([kill(victim) for victim in victims[:1]])
        process.wait(timeout=60)
        containers = settle_and_remove(host)
        survived += any(c["status"] == "running" for c in containers)
        if process.returncode == 0 and number % 2 == 0:
            equal(len(containers), 1, "containers after a success")
    expect(hits >= ROUNDS // 4, f"only {hits} kills met a living process")
    return survived


@suite.test
def the_monitor_can_be_killed_at_any_moment(host):
    expect(kill_descendant(host, 1) > 0, "no container outlived its monitor")


@suite.test
def the_launcher_can_be_killed_at_any_moment(host):
    kill_descendant(host, 2)


@suite.test
def the_container_can_be_killed_at_any_moment(host):
    for number in range(ROUNDS):
        identity = host.start(*(["--rm"] if number % 2 else []))
        pid = host.told(identity, "{{.State.Pid}}")
        time.sleep(random.uniform(0, 0.02))
        os.kill(int(pid), 9)
        code = host.call("wait", identity)
        expect(code.stdout.strip() == "137" or number % 2, f"{code}")
        if number % 2 == 0:
            equal(host.told(identity, "{{.State.Status}} {{.State.ExitCode}}"), "exited 137")
        settle_and_remove(host)
        nothing_left(host, identity)


@suite.test
def commands_on_a_container_can_be_killed_at_any_moment(host):
    for number in range(ROUNDS):
        identity = host.start("--restart", "always", command=("sh", "-c", "sleep 0.02"))
        words = random.choice((("stop", "-t", "0"), ("kill",), ("rm", "-f"), ("restart", "-t", "0"),
                               ("exec",), ("update", "--restart", "no")))
        tail = ("true",) if words[0] == "exec" else ()
        process = subprocess.Popen(host.command(*words, identity, *tail), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.03))
        process.kill()
        process.wait()
        # It goes on starting again until it is taken away.
        host.call("rm", "--force", identity)
        until(lambda: not host.containers(), "removed")
        settle_and_remove(host)
        nothing_left(host, identity)


if __name__ == "__main__":
    sys.exit(run_suite(suite))
