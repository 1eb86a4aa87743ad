#!/usr/bin/env python3
"""Many containers, many commands at once, and one that talks much."""

import concurrent.futures
import random
import sys
import time

from life_support import IDLE, container, nothing_left, run_suite, until
from support.bundles import FULL
from support.harness import Suite, equal, expect

suite = Suite("crowd")
MANY = 100 if FULL else 20
LINES = 2_000_000 if FULL else 200_000
# What a command may answer whose container another one has just stopped, started or removed.
FAIR = ("not running", "there is no container", "is running", "already", "in use", "has just",
        "No such", "does not exist", "paused", "cannot", "ended", "process", "is taken", "been taken")


def at_once(tasks, workers=10):
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]


@suite.test
def many_containers_are_started_by_many_processes(host):
    host.run("busybox", "true")  # the first of all unpacks the image
    begin = time.monotonic()
    identities = at_once([host.start for _ in range(MANY)])
    print(f"  {MANY} containers in {time.monotonic() - begin:.1f} s")
    equal(len(set(identities)), MANY)
    listed = host.containers()
    equal({c["id"] for c in listed}, set(identities))
    equal({c["status"] for c in listed}, {"running"})
    equal(len({c["name"] for c in listed}), MANY, "names")
    at_once([lambda i=i: host.good("stop", "-t", "0", i) for i in identities])
    equal({c["status"] for c in host.containers()}, {"exited"})
    host.good("container", "prune", "-f")
    for identity in identities:
        nothing_left(host, identity)


@suite.test
def of_many_who_want_a_name_one_gets_it(host):
    for _ in range(3):
        done = at_once([lambda: host.call("run", "-d", "--name", "wanted", "busybox", *IDLE)
                        for _ in range(8)])
        equal(sorted(d.returncode for d in done), [0] + [125] * 7)
        expect(all("wanted" in d.stderr for d in done if d.returncode), done)
        equal([c["name"] for c in host.containers()], ["wanted"])
        host.good("rm", "-f", "wanted")


@suite.test
def of_many_who_start_it_one_does(host):
    for _ in range(3):
        identity = host.good("create", "--name", "once", "busybox", *IDLE)
        done = at_once([lambda: host.call("start", "once") for _ in range(6)])
        expect(any(d.returncode == 0 for d in done), done)
        expect(all(d.returncode == 0 or "running already" in d.stderr for d in done), done)
        host.monitor(identity)
        equal(host.status("once"), "running")
        at_once([lambda: host.call("rm", "-f", "once") for _ in range(6)])
        equal(host.containers(), [])
        nothing_left(host, identity)


@suite.test
def commands_in_any_order_leave_a_world_in_order(host):
    names = [f"c{number}" for number in range(5)]
    seen = set()

    def worker(seed):
        choose = random.Random(seed)
        for _ in range(40 if FULL else 10):
            name = choose.choice(names)
            words = choose.choice((
                ("run", "-d", "--name", name, "busybox", *IDLE), ("start", name),
                ("stop", "-t", "0", name), ("kill", name), ("rm", "-f", name), ("rm", name),
                ("restart", "-t", "0", name), ("pause", name), ("unpause", name), ("ps", "-a"),
                ("exec", name, "true"), ("inspect", name), ("logs", name)))
            done = host.call(*words, timeout=120)
            if done.returncode != 0:
                expect(any(word in done.stderr for word in FAIR), f"{words}: {done}")
            seen.add(words[0])

    at_once([lambda seed=seed: worker(seed) for seed in range(10)])
    expect(len(seen) > 8, seen)
    until(lambda: {c["status"] for c in host.containers()} <= {"running", "paused", "exited",
                                                               "created"}, "states")
    identities = [c["id"] for c in host.containers()]
    equal(len({c["name"] for c in host.containers()}), len(identities), "names")
    host.remove_all()
    equal(host.containers(), [])
    for identity in identities:
        nothing_left(host, identity)


@suite.test
def a_flood_loses_no_line(host):
    script = f"seq {LINES}; echo error >&2"
    with container(host, "--name", "flood", "--log-opt", "max-size=-1",
                   command=("sh", "-c", script)):
        # Others are not held up by it.
        equal(host.good("run", "--rm", "busybox", "echo", "here"), "here")
        equal(host.good("wait", "flood"), "0")
        done = host.call("logs", "flood", timeout=300)
        expect(done.stdout == "".join(f"{number}\n" for number in range(1, LINES + 1)),
               f"{done.stdout.count(chr(10))} of {LINES} lines")
        equal(done.stderr, "error\n")
        expect(str(LINES) in host.call("logs", "--tail", "3", "flood").stdout.split(), "--tail")


@suite.test
def a_limited_log_keeps_the_last_lines(host):
    with container(host, "--name", "limited", "--log-opt", "max-size=64k", "--log-opt",
                   "max-file=3", command=("seq", "20000")):
        host.good("wait", "limited")
        lines = host.good("logs", "limited").split()
        equal(lines, [str(number) for number in range(20001 - len(lines), 20001)], "a gap")
        expect(500 < len(lines) < 10000, len(lines))


if __name__ == "__main__":
    sys.exit(run_suite(suite))
