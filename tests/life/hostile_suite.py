#!/usr/bin/env python3
"""Containers that behave as badly as they can, and hosts that have run out of room: what is limited stays
limited, what is beside it goes on, and nothing is left."""

import contextlib
import os
import pathlib
import subprocess
import sys

from crowd_suite import at_once
from life_support import IDLE, container, nothing_left, run_suite, until
from support.bundles import processes_of
from support.harness import Skip, Suite, equal, expect
from terminal_suite import Terminal

suite = Suite("hostile")
MANY, WORKERS = 50, 10
BOMB = "bomb() { bomb | bomb & }; bomb; while :; do bomb 2>/dev/null; sleep 0.05; done"


def group_of(identity, controller, file):
    """A value of a container's group, in whichever hierarchy has the controller."""
    for pattern in (f"{controller}/bulkhead/{identity}/{file[0]}", f"bulkhead/{identity}/{file[1]}"):
        path = pathlib.Path("/sys/fs/cgroup") / pattern
        if path.exists():
            return path.read_text().strip()
    raise Skip(f"no group with {controller}")


@suite.test
def a_fork_bomb_gets_no_further_than_its_limit(host):
    with container(host, "--name", "bomb", "--init", "--pids-limit", "64") as identity:
        def count():
            return int(group_of(identity, "pids", ("pids.current", "pids.current")))

        def gone_off():
            # A shell that cannot fork ends: it is thrown again until all room is taken.
            host.call("exec", "--detach", "bomb", "sh", "-c", BOMB)
            return count() > 48
        until(gone_off, "the bomb goes off", 60)
        worst = 0
        for _ in range(50):
            worst = max(worst, count())
        expect(worst <= 64, f"{worst} processes")
        # Others live on beside it, and it can be looked at and ended.
        equal(host.good("run", "--rm", "busybox", "echo", "here"), "here")
        equal(host.status("bomb"), "running")
        expect(len(host.good("top", "bomb").splitlines()) > 1, "top")
        host.good("stop", "-t", "30", "bomb")
        equal(host.told("bomb", "{{.State.ExitCode}}"), "143")
        equal([line for line in processes_of(identity) if "bulkhead-monitor" not in line], [], "left")
    nothing_left(host, identity)


@suite.test
def a_fork_bomb_without_a_limit_of_its_own_has_the_default(host):
    with container(host, "--name", "bomb") as identity:
        equal(group_of(identity, "pids", ("pids.max", "pids.max")), "2048")


@suite.test
def a_memory_hog_is_ended_alone(host):
    hog = "x=a; while :; do x=$x$x; done"
    with container(host, "--name", "other"):
        with container(host, "--name", "hog", "--memory", "16m", command=("sh", "-c", hog)):
            equal(host.good("wait", "hog"), "137")
            equal(host.told("hog", "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137")
        # A child is ended, and its parent goes on.
        script = f"sh -c '{hog}'; echo child $?; touch /done; sleep 100000"
        with container(host, "--name", "parent", "--memory", "16m", command=("sh", "-c", script)):
            until(lambda: "child 137" in host.good("logs", "parent"), "the child is ended", 60)
            equal(host.status("parent"), "running")
        # One that always comes back is held up by the growing pause, not by the host's patience.
        with container(host, "--name", "again", "--memory", "16m", "--restart", "on-failure:2",
                       command=("sh", "-c", hog)):
            until(lambda: host.told("again", "{{.State.Status}} {{.RestartCount}}") == "exited 2",
                  "it is given up", 60)
        equal(host.status("other"), "running")


@suite.test
def a_reader_that_does_not_read_holds_nobody_up(host):
    script = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); echo line $i; done; touch /done; sleep 100000"
    with container(host, "--name", "loud", "--log-opt", "max-size=-1", command=("sh", "-c", script)):
        deaf = subprocess.Popen(host.command("attach", "--no-stdin", "loud"), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        slow = subprocess.Popen(host.command("logs", "--follow", "loud"), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            until(lambda: host.call("exec", "loud", "test", "-e", "/done").returncode == 0,
                  "the program is not held up", 60)
            until(lambda: host.good("logs", "--tail", "1", "loud") == "line 60000", "nor is its log", 60)
        finally:
            for reader in (deaf, slow):
                reader.kill()
                reader.communicate()


@contextlib.contextmanager
def small_disk(host, name, size):
    """A store, or a directory of what runs, on a file system that is nearly full."""
    place = host.work.directory / f"small-{name}"
    place.mkdir()
    if os.system(f"mount -t tmpfs -o size={size},mode=700 tmpfs {place}") != 0:
        raise Skip("no tmpfs can be mounted")
    before = getattr(host, name)
    setattr(host, name, place / "store")
    try:
        yield place
    finally:
        fill(place, False)
        host.remove_all()
        setattr(host, name, before)
        os.system(f"umount {place}")


def fill(place, full):
    """Leaves not one block; or gives them back."""
    ballast = place / "ballast"
    if not full:
        return ballast.unlink(missing_ok=True)
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


@suite.test
def on_a_full_disk_containers_can_be_ended_and_none_is_half_made(host):
    with small_disk(host, "store", "12m") as place:
        identity = host.start("--name", "old")
        fill(place, True)
        done = host.call("run", "-d", "--name", "new", "busybox", *IDLE)
        if done.returncode == 0:
            raise Skip("this file system keeps room for small files")
        expect("o space left" in done.stderr, done.stderr)
        equal([c["name"] for c in host.containers()], ["old"])
        equal(host.good("exec", "old", "echo", "here"), "here")
        equal(host.status("old"), "running")
        host.good("stop", "-t", "0", "old")
        equal(host.told("old", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137")
        host.good("rm", "old")
        nothing_left(host, identity)
        fill(place, False)
        host.good("rm", "-f", host.start("--name", "new"))


@suite.test
def with_a_full_run_directory_none_is_half_made(host):
    with small_disk(host, "runroot", "1m") as place:
        identity = host.start("--name", "old")
        fill(place, True)
        done = host.call("run", "-d", "--name", "new", "busybox", *IDLE)
        if done.returncode != 0:
            expect("o space left" in done.stderr, done.stderr)
            equal([c["name"] for c in host.containers()], ["old"])
        host.good("stop", "-t", "0", "old")
        host.good("rm", "old")
        host.call("rm", "-f", "new")
        fill(place, False)
        nothing_left(host, identity)


@suite.test
def fifty_containers_in_the_hands_of_ten(host):
    host.run("busybox", "true")  # the first of all unpacks the image

    def life(number):
        name = f"f{number}"
        script = f"trap 'exit {number}' TERM; echo born; touch /ready; while :; do sleep 0.05; done"
        identity = host.start("--name", name, command=("sh", "-c", script))

        def is_ready():
            return host.call("exec", name, "test", "-e", "/ready").returncode == 0
        until(is_ready, "it is ready", 60)
        equal(host.good("exec", name, "echo", name), name)
        host.good("pause", name)
        equal(host.status(name), "paused")
        host.good("unpause", name)
        host.good("update", "--pids-limit", "77", name)
        equal(group_of(identity, "pids", ("pids.max", "pids.max")), "77")
        host.good("exec", name, "rm", "/ready")
        host.good("restart", "-t", "20", name)
        until(is_ready, "it is ready again", 60)
        equal(host.good("logs", name), "born\nborn")
        host.good("rename", name, name + "x")
        host.good("stop", "-t", "20", name + "x")
        equal(host.told(name + "x", "{{.State.ExitCode}}"), str(number))
        return identity

    identities = at_once([lambda number=number: life(number) for number in range(1, MANY + 1)], WORKERS)
    equal(len(set(identities)), MANY)
    equal({c["name"]: c["status"] for c in host.containers()},
          {f"f{number}x": "exited" for number in range(1, MANY + 1)})
    at_once([lambda i=i: host.good("rm", i) for i in identities], WORKERS)
    equal(host.containers(), [])
    for identity in identities:
        nothing_left(host, identity)


@suite.test
def a_session_in_the_foreground_has_job_control_and_ends_with_its_terminal(host):
    terminal = Terminal(host.command("run", "-it", "--name", "fore", "busybox", "sh"), 20, 70)
    with terminal:
        terminal.type("stty size\n")
        terminal.read_until("20 70")
        terminal.type("sleep 3000\n")
        until(lambda: "sleep 3000" in host.good("top", "fore"), "the job runs")
        terminal.type("\x1a")
        terminal.read_until("Stopped")
        terminal.type("jobs; fg\n")
        until(lambda: state_of_job(host, "sleep 3000") == "S", "the job goes on")
        terminal.type("\x03")
        terminal.type("echo back$((40+2))\n")
        terminal.read_until("back42")
        identity = host.told("fore", "{{.Id}}")
        os.close(terminal.master)
        terminal.process.wait(30)
        terminal.master = os.open("/dev/null", os.O_RDWR)
    until(lambda: host.call("ps", "-q").stdout == "", "the container has ended", 30)
    host.good("rm", "fore")
    nothing_left(host, identity)


def state_of_job(host, command):
    for line in host.good("top", "fore").splitlines()[1:]:
        if line.endswith(command):
            text = pathlib.Path(f"/proc/{line.split()[1]}/stat").read_text()
            return text.rsplit(")", 1)[1].split()[0]
    return None


@suite.test
def exec_passes_the_size_of_its_terminal_on(host):
    with container(host, "--name", "ex"):
        with Terminal(host.command("exec", "-it", "ex", "sh"), 30, 90) as terminal:
            terminal.type("stty size\n")
            terminal.read_until("30 90")
            terminal.resize(41, 101)

            def resized():
                terminal.type("stty size\n")
                with contextlib.suppress(AssertionError):
                    terminal.read_until("41 101", 1)
                    return True
                return False
            until(resized, "the new size")
            terminal.type("exit 6\n")
            equal(terminal.process.wait(30), 6)


if __name__ == "__main__":
    sys.exit(run_suite(suite))
