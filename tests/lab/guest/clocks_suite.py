#!/usr/bin/env python3
"""Clocks that jump, on a machine whose clock is ours to set: what waits for a time waits that long, and
nothing is told that cannot be."""

import sys
import time

from inside import Suite, bulkhead, equal, expect, main

suite = Suite("clocks that jump")
DAY = 24 * 3600


def good(*words):
    done = bulkhead(*words)
    equal(done.returncode, 0, f"{words}: {done.stderr}")
    return done.stdout.strip()


def jump(seconds):
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME) + seconds)


def until(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < deadline, f"never: {what}")
        time.sleep(0.05)


@suite.test
def a_container_with_a_timeout_outlives_a_day_that_never_was(_):
    good("run", "-d", "--name", "clock", "--timeout", "1h", "busybox", "sh", "-c",
         "while :; do echo tick; sleep 0.2; done")
    try:
        for seconds in (DAY, -2 * DAY, DAY):
            jump(seconds)
            count = len(good("logs", "clock").splitlines())
            until(lambda count=count: len(good("logs", "clock").splitlines()) > count, "its log goes on")
            equal(good("inspect", "--format", "{{.State.Status}}", "clock"), "running", f"{seconds} s")
            status = good("ps", "--format", "{{.Status}} {{.RunningFor}}")
            expect(status.startswith("Up ") and "-" not in status, status)
        expect(good("stats", "--no-stream", "--format", "{{.CPUPerc}}", "clock").endswith("%"), "stats")
    finally:
        bulkhead("rm", "-f", "clock")


@suite.test
def a_timeout_ends_it_in_its_own_time(_):
    begin = time.monotonic()
    good("run", "-d", "--name", "short", "--timeout", "3s", "busybox", "sleep", "100000")
    jump(-DAY)
    try:
        equal(good("wait", "short"), "137")
        expect(time.monotonic() - begin >= 3, "it was ended too soon")
        equal(good("inspect", "--format", "{{.State.TimedOut}}", "short"), "true")
    finally:
        jump(DAY)
        bulkhead("rm", "-f", "short")


@suite.test
def the_grace_of_a_stop_is_neither_cut_nor_stretched(_):
    for seconds in (DAY, -DAY):
        good("run", "-d", "--name", "deaf", "busybox", "sh", "-c",
             "trap '' TERM; touch /ready; while :; do sleep 0.1; done")
        try:
            until(lambda: bulkhead("exec", "deaf", "test", "-e", "/ready").returncode == 0, "ready")
            jump(seconds)
            begin = time.monotonic()
            good("stop", "-t", "2", "deaf")
            expect(time.monotonic() - begin >= 2, f"killed too soon after a jump of {seconds} s")
            equal(good("inspect", "--format", "{{.State.ExitCode}}", "deaf"), "137")
        finally:
            jump(-seconds)
            bulkhead("rm", "-f", "deaf")


@suite.test
def restarts_come_as_they_should(_):
    good("run", "-d", "--name", "fails", "--restart", "on-failure:3", "busybox", "sh", "-c",
         "sleep 0.2; exit 1")
    try:
        for seconds in (DAY, -2 * DAY, DAY):
            jump(seconds)
            time.sleep(0.3)
        seen = set()

        def given_up():
            seen.add(good("inspect", "--format", "{{.State.Status}} {{.RestartCount}}", "fails"))
            return "exited 3" in seen
        try:
            until(given_up, "it is given up", 100)
        except AssertionError as error:
            raise AssertionError(f"{error}: {sorted(seen)} {good('inspect', 'fails')[:900]}") from error
    finally:
        bulkhead("rm", "-f", "fails")


if __name__ == "__main__":
    sys.exit(main(suite))
