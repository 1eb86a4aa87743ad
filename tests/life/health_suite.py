#!/usr/bin/env python3
"""Health checks: what is run, what is judged, who tells of it, and what is left of a check."""

import json
import os
import pathlib
import sys
import time

from life_support import (IDLE, container, image_with_config, nothing_left, own_memory, popen, processes_of,
                          run_suite, until)
from support.harness import Suite, equal, expect

suite = Suite("health")
QUICK = ("--health-interval", "100ms", "--health-timeout", "30s")


def health(host, name):
    return host.inspected(name)["State"]["Health"]


def becomes(host, name, status):
    until(lambda: health(host, name)["Status"] == status, f"{name} is {status}", 60)


def pids_of(host, name):
    """Of all processes in the container, by the host's numbers."""
    return host.good("top", name, "-o", "pid").split()[1:]


@suite.test
def it_follows_what_the_check_says(host):
    with container(host, "--name", "web", *QUICK, "--health-retries", "2", "--tmpfs", "/tmp",
                   "--health-cmd", "echo looked; test -e /tmp/up") as identity:
        equal(host.told("web", "{{json .Config.Healthcheck}}"), json.dumps({
            "Test": ["CMD-SHELL", "echo looked; test -e /tmp/up"], "Interval": 100_000_000,
            "Timeout": 30_000_000_000, "StartPeriod": 0, "StartInterval": 5_000_000_000,
            "Retries": 2}, separators=(",", ":")))
        becomes(host, "web", "unhealthy")
        told = health(host, "web")
        expect(told["FailingStreak"] >= 2, told)
        last = told["Log"][-1]
        equal((last["ExitCode"], last["Output"]), (1, "looked\n"))
        expect(last["Start"] < last["End"], last)
        expect("(unhealthy)" in host.good("ps", "--format", "{{.Status}}"), "ps")
        host.good("exec", "web", "touch", "/tmp/up")
        becomes(host, "web", "healthy")
        equal(health(host, "web")["FailingStreak"], 0)
        until(lambda: len(health(host, "web")["Log"]) == 5, "five results")
        first = health(host, "web")["Log"][0]
        until(lambda: health(host, "web")["Log"][0] != first, "the oldest goes")
        equal(len(health(host, "web")["Log"]), 5)
        expect("(healthy)" in host.good("ps", "--format", "{{.Status}}"), "ps")
        told = host.good("events", "--since", "1h", "--until", "0s", "--filter", "container=web",
                         "--format", "{{.Action}}").splitlines()
        equal([line for line in told if line.startswith("health_status")][:2],
              ["health_status: unhealthy", "health_status: healthy"])
        equal(host.good("ps", "-q", "--no-trunc", "--filter", "health=healthy"), identity)
        equal(host.good("ps", "-q", "--filter", "health=unhealthy"), "")
        equal(host.good("ps", "-q", "--filter", "health=none"), "")
        host.refused("ps", "--filter", "health=fine", code=125, words=["health=fine"])
        host.good("stop", "-t", "0", "web")
        equal(health(host, "web")["Status"], "unhealthy", "what does not run is not healthy")
        host.good("start", "web")
        expect(health(host, "web")["Status"] == "starting", "it starts anew")
        host.good("exec", "web", "touch", "/tmp/up")
        becomes(host, "web", "healthy")
    nothing_left(host, identity)


@suite.test
def failures_of_its_start_do_not_count(host):
    with container(host, "--name", "slow", "--health-interval", "1h", "--health-start-period", "1h",
                   "--health-start-interval", "100ms", "--health-retries", "1", "--tmpfs", "/tmp",
                   "--health-cmd", "test -e /tmp/up"):
        until(lambda: len(health(host, "slow")["Log"]) >= 3, "three checks of the start")
        told = health(host, "slow")
        equal((told["Status"], told["FailingStreak"]), ("starting", 0))
        expect("(health: starting)" in host.good("ps", "--format", "{{.Status}}"), "ps")
        host.good("exec", "slow", "touch", "/tmp/up")
        becomes(host, "slow", "healthy")
        count = len(health(host, "slow")["Log"])
        time.sleep(0.5)
        equal(len(health(host, "slow")["Log"]), count, "from then on the interval is an hour")


@suite.test
def a_check_that_takes_too_long_is_ended_with_all_that_it_started(host):
    script = "echo begun; (sleep 7777 &); setsid sleep 7778 & sleep 7779"
    with container(host, "--name", "hang", "--health-interval", "100ms", "--health-timeout", "2s",
                   "--health-retries", "1", "--health-cmd", script):
        becomes(host, "hang", "unhealthy")
        last = health(host, "hang")["Log"][-1]
        equal(last["ExitCode"], -1)
        expect(last["Output"].startswith("Health check exceeded timeout (2000ms)"), last)
        expect("begun" in last["Output"], last)
        # One check at most is under way: its own processes, and none of those before it.
        until(lambda: len(health(host, "hang")["Log"]) >= 2, "two of them")
        def running():
            lines = host.good("exec", "hang", "ps", "-o", "args").splitlines()
            return sum(line.startswith("sleep 777") for line in lines)
        until(lambda: running() == 3, "positive control: a check is seen")
        expect(max(running() for _ in range(5)) <= 3, "left behind")


@suite.test
def its_output_is_kept_up_to_a_limit(host):
    with container(host, "--name", "loud", *QUICK, "--health-cmd",
                   "yes 'many words' | head -c 3000000; printf '\\377'"):
        becomes(host, "loud", "healthy")
        output = health(host, "loud")["Log"][-1]["Output"]
        expect(4000 < len(output.encode()) <= 4096, len(output))
        expect(output.startswith("many words\n") and output.endswith("..."), output[-20:])


@suite.test
def it_is_a_process_of_the_container(host):
    asked = ("grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/self/uid_map; id -u; "
             "readlink /proc/self/ns/net; readlink /proc/self/ns/pid; echo $WORD; pwd")
    with container(host, "--name", "own", *QUICK, "--user", "1000", "--env", "WORD=known", "--workdir",
                   "/usr", "--health-cmd", asked):
        becomes(host, "own", "healthy")
        equal(health(host, "own")["Log"][-1]["Output"].strip(),
              host.good("exec", "own", "sh", "-c", asked))
    with container(host, "--name", "missing", *QUICK, "--health-retries", "1",
                   image=image_with_config(host, "missing", Healthcheck={"Test": ["CMD", "/no/such"]})):
        becomes(host, "missing", "unhealthy")
        expect("no/such" in health(host, "missing")["Log"][-1]["Output"], health(host, "missing"))


@suite.test
def the_image_has_one_and_flags_change_it(host):
    image = image_with_config(host, "checked", Healthcheck={
        "Test": ["CMD", "sh", "-c", "echo $0 of the image", "word"], "Interval": 100_000_000,
        "Timeout": 20_000_000_000, "Retries": 9})
    with container(host, "--name", "plain", image=image):
        becomes(host, "plain", "healthy")
        equal(health(host, "plain")["Log"][-1]["Output"], "word of the image\n")
        equal(host.told("plain", "{{.Config.Healthcheck.Retries}}"), "9")
    with container(host, "--name", "mine", "--health-cmd", "exit 3", "--health-retries", "1",
                   image=image):
        becomes(host, "mine", "unhealthy")
        equal(health(host, "mine")["Log"][-1]["ExitCode"], 3)
    with container(host, "--name", "never", "--no-healthcheck", image=image):
        expect("Health" not in host.inspected("never")["State"], "a check")
        equal(host.good("ps", "-q", "--filter", "health=none"),
              host.told("never", "{{.Id}}")[:12])
    shell = image_with_config(host, "shell", Shell=["/bin/sh", "-ec"],
                              Healthcheck={"Test": ["CMD-SHELL", "false; echo on"], "Interval": 1})
    with container(host, "--name", "strict", "--health-interval", "100ms", "--health-retries", "1",
                   image=shell):
        becomes(host, "strict", "unhealthy")
        equal(health(host, "strict")["Log"][-1]["Output"], "", "the image's shell stops at false")
    none = image_with_config(host, "none", Healthcheck={"Test": ["NONE"]})
    with container(host, "--name", "silent", image=none):
        expect("Health" not in host.inspected("silent")["State"], "a check")
    odd = image_with_config(host, "odd", Healthcheck={"Test": ["PERHAPS", "x"]})
    host.refused("run", "-d", odd, *IDLE, code=125, words=["PERHAPS", "--no-healthcheck"])
    for flags in (("--health-interval", "soon"), ("--health-retries", "-1"),
                  ("--no-healthcheck", "--health-cmd", "true")):
        host.refused("run", "-d", *flags, "busybox", code=125, words=["health"])


@suite.test
def a_paused_container_is_not_judged(host):
    with container(host, "--name", "frozen", *QUICK, "--health-cmd", "true"):
        becomes(host, "frozen", "healthy")
        host.good("pause", "frozen")
        time.sleep(0.3)
        seen = health(host, "frozen")
        time.sleep(1)
        equal(health(host, "frozen"), seen, "checked while it was frozen")
        host.good("unpause", "frozen")
        until(lambda: health(host, "frozen") != seen, "it goes on")
        equal(health(host, "frozen")["Status"], "healthy")


@suite.test
def stop_and_rm_do_not_wait_for_a_check(host):
    for way in (("stop", "-t", "0"), ("rm", "--force"), ("kill",)):
        with container(host, "--name", "busy", "--health-interval", "50ms", "--health-timeout", "1h",
                       "--health-cmd", "sleep 7777") as identity:
            until(lambda: "sleep 7777" in host.good("exec", "busy", "ps", "-o", "args"), "a check")
            host.good(*way, "busy")
            until(lambda: not [line for line in processes_of("sleep 7777")], "the check is gone")
        nothing_left(host, identity)


@suite.test
def a_killed_monitor_leaves_no_check_for_ever(host):
    with container(host, "--name", "lost", "--health-interval", "50ms", "--health-timeout", "2s",
                   "--health-retries", "1", "--health-cmd", "sleep 7777") as identity:
        until(lambda: "sleep 7777" in host.good("exec", "lost", "ps", "-o", "args"), "a check")
        monitor = host.monitor(identity)
        os.kill(monitor, 9)
        until(lambda: not pathlib.Path(f"/proc/{monitor}").exists(), "its death")
        equal(health(host, "lost")["Log"] is not None, True)
        host.good("rm", "--force", "lost")
        until(lambda: not [line for line in processes_of("sleep 7777")], "the check is gone")
    nothing_left(host, identity)


@suite.test
def a_run_in_the_foreground_is_checked_too(host):
    process = popen(host, "run", "--name", "front", *QUICK, "--health-cmd", "echo front", "busybox",
                    "sleep", "100000")
    try:
        until(lambda: "(healthy)" in host.good("ps", "--format", "{{.Names}} {{.Status}}"), "healthy")
        equal(health(host, "front")["Log"][-1]["Output"], "front\n")
        host.good("stop", "-t", "0", "front")
        equal(process.wait(60), 137)
        equal(process.stdout.read(), "", "the check's output is not the container's")
        equal(health(host, "front")["Status"], "unhealthy")
        host.good("rm", "front")
    finally:
        process.kill()
        process.communicate()


@suite.test
def the_monitor_stays_small(host):
    with container(host, "--name", "small", "--health-interval", "30ms", "--health-cmd", "true") as identity:
        becomes(host, "small", "healthy")
        seen = health(host, "small")["Log"][-1]["Start"]
        until(lambda: health(host, "small")["Log"][0]["Start"] > seen, "some checks")
        used = own_memory(host.monitor(identity))
        print(f"  monitor with health checks: {used} KiB of its own")
        expect(used <= 100, f"{used} KiB")


if __name__ == "__main__":
    sys.exit(run_suite(suite))
