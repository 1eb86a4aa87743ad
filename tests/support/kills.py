"""SIGKILL at random moments: for campaigns against commands that change a store."""

import contextlib
import os
import random
import signal
import subprocess
import time

from support.harness import equal


def started(command, environment=None, priority=None):
    def keep_priority():
        os.setpriority(os.PRIO_PROCESS, 0, priority)

    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, start_new_session=True, env=environment,
                            preexec_fn=None if priority is None else keep_priority)


@contextlib.contextmanager
def ahead_of_others():
    """On a busy machine whoever waits for a moment misses it, unless the scheduler prefers him. Gives the
    priority of before."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    try:
        yield before
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


class Kills:
    """Kills commands that take about `longest`, and learns from each how long they take now: on a busy
    machine half of the kills meet a living process as well, at moments from its beginning to its end."""

    def __init__(self, longest):
        self.longest = longest
        self.hits = 0

    def kill(self, command, environment=None):
        alive = kill_within(command, self.longest, environment)
        self.hits += alive
        self.longest = max(self.longest * (1.1 if alive else 0.9), 0.001)


def kill_within(command, longest, environment=None):
    """Kills the command, with all that it started, at a random moment; whether it was alive."""
    with ahead_of_others() as priority:
        process = started(command, environment, priority)
        time.sleep(random.uniform(0, longest))
        alive = process.poll() is None
        # Or the program alone: then those that it started must end by themselves.
        target = os.killpg if random.random() < 0.7 else os.kill
        try:
            target(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    return alive


def timed(command, environment=None):
    """From the moment in which kill_within() begins to wait."""
    process = started(command, environment)
    begin = time.perf_counter()
    equal(process.wait(timeout=60), 0, f"{command}")
    return time.perf_counter() - begin


def settled(root):
    """Until nobody works in the store any more: its staging directories are all abandoned or gone."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        busy = subprocess.run(["sh", "-c", "for d in \"$1\"/staging/*/ \"$1\"/trash/*/; do "
                               "[ -d \"$d\" ] || continue; flock -n \"$d\" true || exit 1; done",
                               "sh", str(root)], check=False).returncode
        if busy == 0:
            return
        time.sleep(0.05)
    raise AssertionError("a process works on after its caller was killed")
