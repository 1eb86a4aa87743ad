#!/usr/bin/env python3
"""A machine that is started again: which containers come back, and the units for systemd."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

from life_support import IDLE, container, nothing_left, processes_of, run_suite, until
from support.harness import Skip, Suite, equal, expect

suite = Suite("reboot")


def listed(host):
    """By the store alone: no command of ours may look after the containers on the way."""
    place = host.store / "containers"
    return [{"id": name} for name in os.listdir(place)]


def reboot(host):
    """As the machine does it: every process is gone, nobody records an end, and nothing is left of what
    was in memory."""
    for row in listed(host):
        for line in processes_of(row["id"]):
            if "bulkhead-monitor" in line:
                os.kill(int(line.split()[0]), signal.SIGKILL)
        groups = list(pathlib.Path("/sys/fs/cgroup").glob(f"*/bulkhead/{row['id']}"))
        for group in groups:
            for pid in (group / "cgroup.procs").read_text().split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for group in groups:
            until(lambda place=group: not (place / "cgroup.procs").read_text().split(), "all are dead")
            group.rmdir()
    shutil.rmtree(host.runroot)


def complaints_about(unit):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True,
                          text=True, check=False)
    return [line for line in done.stderr.splitlines() if pathlib.Path(unit).name in line]


@suite.test
def what_has_a_restart_policy_comes_back(host):
    made = {"always": ("--restart", "always"), "unless": ("--restart", "unless-stopped"),
            "failed": ("--restart", "on-failure"), "plain": (), "stopped-always": ("--restart", "always"),
            "stopped-unless": ("--restart", "unless-stopped"), "gone": ("--rm",)}
    for name, flags in made.items():
        host.start("--name", name, *flags)
    host.good("create", "--name", "never", "--restart", "always", "busybox", *IDLE)
    host.start("--name", "done", "--restart", "on-failure", command=("true",))
    host.good("wait", "done")
    host.good("stop", "-t", "0", "stopped-always", "stopped-unless")
    reboot(host)
    started = host.good("system", "start").split()
    equal(sorted(started), ["always", "failed", "stopped-always", "unless"])
    states = {row["name"]: row["status"] for row in host.containers()}
    equal(states, {"always": "running", "unless": "running", "failed": "running", "plain": "exited",
                   "stopped-always": "running", "stopped-unless": "exited", "never": "created",
                   "done": "exited"})
    told = host.inspected("plain")["State"]
    expect(told["ExitCode"] == 255 and "ended with the machine" in told["Error"], told)
    equal(host.good("system", "start"), "", "what runs is left alone")
    # Stopped with the machine, not by anybody.
    equal(sorted(host.good("system", "stop", "-t", "0").split()), sorted(started))
    equal({row["status"] for row in host.containers() if row["name"] in started}, {"exited"})
    reboot(host)
    equal(sorted(host.good("system", "start").split()), ["always", "failed", "stopped-always", "unless"])
    host.good("stop", "-t", "0", "unless")
    reboot(host)
    equal(sorted(host.good("system", "start").split()), ["always", "failed", "stopped-always"])
    host.remove_all()
    equal(host.containers(), [])


@suite.test
def a_start_that_fails_stops_no_other(host):
    place = host.work.directory / "source"
    place.mkdir(exist_ok=True)
    host.start("--name", "good", "--restart", "always")
    host.start("--name", "bad", "--restart", "always", "-v", f"{place}:/data")
    reboot(host)
    place.rmdir()
    done = host.call("system", "start")
    equal((done.returncode, done.stdout.split()), (1, ["good"]))
    expect('"bad"' in done.stderr, done.stderr)
    equal(host.status("good"), "running")
    host.remove_all()


@suite.test
def units_for_systemd_are_generated(host):
    with container(host, "--name", "web", "-t", "--stop-timeout", "7", "--env", "A=50% of $x",
                   command=("sh", "-c", "echo 'a b'; sleep 100000")) as identity:
        text = host.good("generate", "systemd", "web")
        expect(f"start --attach --sig-proxy=false {identity}" in text, text)
        expect("ExecStop=-" in text and f"stop --time 7 {identity}" in text, text)
        expect("\nRestart=on-failure\n" in text and "WantedBy=multi-user.target" in text, text)
        text = host.good("generate", "systemd", "--new", "--name", "--restart-policy", "always", "--time",
                         "3", "web")
        line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
        expect(line.endswith('run --rm --name web --stop-timeout 7 --env "A=50%% of $$x" busybox sh -c '
                             "\"echo 'a b'; sleep 100000\""), line)
        expect("\nRestart=always\n" in text and "TimeoutStopSec=63" in text, text)
        place = host.work.directory / "units"
        place.mkdir(exist_ok=True)
        printed = host.good("generate", "systemd", "--files", "--name", "web", cwd=place)
        equal(printed, str(place / "container-web.service"))
        if shutil.which("systemd-analyze"):
            equal(complaints_about(printed), [], "systemd-analyze verify")
        host.refused("generate", "systemd", "--restart-policy", "unless-stopped", "web", code=125,
                     words=["on-failure"])
        host.refused("generate", "systemd", "nobody", words=["nobody"])
    with container(host, "--rm", "--name", "short"):
        host.refused("generate", "systemd", "short", code=125, words=["--new"])
        expect("run --rm --name short" in host.good("generate", "systemd", "--new", "short"), "--new")


@suite.test
def info_and_version_answer_under_dockers_names(host):
    with container(host, "--name", "one"), container(host, "--name", "two"):
        host.good("pause", "two")
        host.good("create", "--name", "three", "busybox")
        info = json.loads(host.good("info", "--format", "json"))
        equal((info["Containers"], info["ContainersRunning"], info["ContainersPaused"],
               info["ContainersStopped"]), (3, 1, 1, 1))
        equal((info["OSType"], info["DockerRootDir"], info["NCPU"], info["KernelVersion"]),
              ("linux", str(host.store), os.cpu_count(), os.uname().release))
        equal(host.good("system", "info", "--format", "{{.Driver}} {{.CgroupDriver}} {{.ContainersRunning}}"),
              "overlay cgroupfs 1")
        text = host.good("info")
        expect("Containers: 3\n Running: 1\n Paused: 1\n Stopped: 1\n" in text, text)
        host.good("rm", "three")
    version = host.good("version", "--format", "{{.Server.Version}}")
    expect(version and f"bulkhead {version}" == host.good("--version"), version)
    equal(json.loads(host.good("version", "--format", "json"))["Client"]["Version"], version)
    expect(f"Version:      {version}" in host.good("version"), "version")


@suite.test
def the_unit_of_the_installation_is_valid(host):
    build = pathlib.Path(os.environ.get("BULKHEAD_BUILD", "build/release"))
    unit = build / "lib/systemd/system/bulkhead.service"
    text = unit.read_text()
    expect("bulkhead system start" in text and "bulkhead system stop" in text and "@" not in text, text)
    if not shutil.which("systemd-analyze"):
        raise Skip("no systemd-analyze")
    copy = host.work.directory / "bulkhead.service"
    program = host.command()[0]
    lines = []
    for line in text.splitlines():
        key, _, words = line.partition("=")
        lines.append(f"{key}={program} {words.partition(' ')[2]}" if key.startswith("Exec") else line)
    copy.write_text("\n".join(lines) + "\n")
    equal(complaints_about(copy), [])


if __name__ == "__main__":
    sys.exit(run_suite(suite))
