#!/usr/bin/env python3
"""podman's pods on the runtime under test. BULKHEAD_RUNTIME names the runtime; the suite also passes on
runc, which is how it is itself tested."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

from engine_support import (RUNTIME, Skip, Suite, cgroup_directory, deaf_until_ready, equal, eventually,
                            expect, go_apart, namespace, run_suite, status_of, wait_until_ready)
from podman_host import PodmanHost

suite = Suite("podman pods")
# A pod's pause process by default; where the machine has none, podman would build an image for it.
CATATONIT = ("/usr/libexec/podman/catatonit", "/usr/bin/catatonit")


@contextlib.contextmanager
def pod(podman, *arguments, name="pod", members=("one", "two"), command=("sleep", "1000")):
    """A pod with running members. That it can be removed at the end is part of each test."""
    if "--infra=false" not in arguments and not any(map(os.path.exists, CATATONIT)):
        raise Skip("the pause process of a pod needs the package catatonit")
    try:
        podman.run("pod", "create", "--name", name, *arguments)
        for member in members:
            podman.run("run", "-d", "--pod", name, "--name", member, podman.image, *command)
        yield name
    except BaseException:
        podman.call("pod", "rm", "-f", "-t", "0", name)
        raise
    podman.remove("pod", name)


def pid_of(podman, name):
    return int(podman.run("inspect", "-f", "{{.State.Pid}}", name))


def infra_of(podman, name):
    return json.loads(podman.run("pod", "inspect", name))["InfraContainerID"]


def states(podman, name):
    containers = json.loads(podman.run("pod", "inspect", name))["Containers"]
    return {container["Name"]: container["State"] for container in containers
            if not container["Name"].endswith("-infra")}


@suite.test
def members_share_network_ipc_and_hostname(podman):
    with pod(podman, "--hostname", "together") as name:
        infra = pid_of(podman, infra_of(podman, name))
        first, second = pid_of(podman, "one"), pid_of(podman, "two")
        for kind in ("net", "ipc", "uts"):
            equal(namespace(first, kind), namespace(infra, kind), kind)
            equal(namespace(second, kind), namespace(infra, kind), kind)
            expect(namespace(infra, kind) != namespace("self", kind), f"the {kind} namespace is the host's")
        for kind in ("mnt", "pid"):
            expect(namespace(first, kind) != namespace(second, kind), f"the {kind} namespace is shared")
        equal(podman.run("exec", "one", "hostname"), "together", "hostname")
        podman.run("exec", "one", "touch", "/dev/shm/shared")
        equal(podman.run("exec", "two", "ls", "/dev/shm"), "shared", "shared memory")


@suite.test
def a_pod_may_share_processes_too(podman):
    with pod(podman, "--share", "pid,net,ipc,uts") as name:
        infra = pid_of(podman, infra_of(podman, name))
        for member in ("one", "two"):
            equal(namespace(pid_of(podman, member), "pid"), namespace(infra, "pid"), member)
        expect("catatonit" in podman.run("exec", "one", "cat", "/proc/1/comm"), "process 1 is not the pause")
        listed = podman.run("exec", "one", "ps", "-o", "args")
        equal(listed.count("sleep 1000"), 2, "processes seen by a member")
        # A member's end is its own: the pause process goes on, and so does the other.
        podman.run("kill", "two")
        expect(eventually(lambda: states(podman, name)["two"] == "exited"), states(podman, name))
        equal(podman.run("exec", "one", "echo", "alive"), "alive", "the other member")


@suite.test
def a_pod_may_share_nothing(podman):
    with pod(podman, "--share", "none"):
        for kind in ("net", "ipc", "uts", "pid"):
            spaces = {namespace(pid, kind) for pid in ("self", pid_of(podman, "one"), pid_of(podman, "two"))}
            equal(len(spaces), 3, kind)


@suite.test
def members_meet_on_loopback_and_a_port_is_published(podman):
    server = ("sh", "-c", "while :; do echo hello | nc -l -p 80; done")
    try:
        with pod(podman, "-p", "127.0.0.1:18083:80", members=()) as name:
            podman.run("run", "-d", "--pod", name, "--name", "server", podman.image, *server)
            ask = "for i in $(seq 100); do nc -w 2 127.0.0.1 80 && exit; sleep 0.2; done"
            equal(podman.run("run", "--rm", "--pod", name, podman.image, "sh", "-c", ask), "hello",
                  "loopback")

            def answers():
                try:
                    with socket.create_connection(("127.0.0.1", 18083), timeout=2) as connection:
                        return connection.recv(16) == b"hello\n"
                except OSError:
                    return False
            expect(eventually(answers), "no answer on the published port")
    except AssertionError as error:
        if "iptables" in str(error) or "netavark" in str(error):
            raise Skip(f"podman cannot make its bridge network here: {str(error)[-200:]}") from error
        raise


@suite.test
def pod_stop_start_restart_and_kill_reach_every_member(podman):
    trap = deaf_until_ready("rm -f /ready; trap 'exit 42' TERM USR1; while :; do sleep 0.1; done")

    def ready():
        for member in ("one", "two"):
            wait_until_ready(pid_of(podman, member))

    with pod(podman, command=trap) as name:
        ready()
        podman.run("pod", "stop", "-t", "60", name)
        equal(states(podman, name), {"one": "exited", "two": "exited"}, "after stop")
        equal(podman.run("inspect", "-f", "{{.State.ExitCode}}", "one"), "42", "exit code")
        podman.run("pod", "start", name)
        equal(states(podman, name), {"one": "running", "two": "running"}, "after start")
        first = pid_of(podman, "one")
        ready()
        podman.run("pod", "restart", name)
        expect(pid_of(podman, "one") not in (0, first), "the same process after a restart")
        ready()
        podman.run("pod", "kill", "--signal", "USR1", name)
        expect(eventually(lambda: states(podman, name) == {"one": "exited", "two": "exited"}),
               states(podman, name))
        equal(podman.run("inspect", "-f", "{{.State.ExitCode}}", "two"), "42", "exit code by SIGUSR1")


@suite.test
def pod_pause_stops_every_member(podman):
    command = ("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > /n; sleep 0.01; done")
    with pod(podman, command=command) as name:
        files = [pathlib.Path(f"/proc/{pid_of(podman, member)}/root/n") for member in ("one", "two")]
        expect(eventually(lambda: all(file.exists() for file in files)), "not started")
        podman.run("pod", "pause", name)
        before = [file.read_text() for file in files]
        time.sleep(0.3)
        equal([file.read_text() for file in files], before, "counters of a paused pod")
        podman.run("pod", "unpause", name)
        expect(eventually(lambda: all(file.read_text() != old for file, old in zip(files, before))),
               "a counter stands after unpause")


@suite.test
def pod_ps_top_logs_and_stats_know_the_members(podman):
    with pod(podman, command=("sh", "-c", "echo said; sleep 1000")) as name:
        line = json.loads(podman.run("pod", "ps", "--format", "json"))[0]
        equal((line["Name"], line["Status"], len(line["Containers"])), (name, "Running", 3), "pod ps")
        equal(podman.run("pod", "top", name, "args").count("sleep 1000"), 2, "pod top")
        equal(podman.run("pod", "logs", name).count("said"), 2, "pod logs")
        stats = podman.run("pod", "stats", "--no-stream", name)
        expect("one" in stats and "two" in stats, stats)


@suite.test
def a_pod_in_a_user_namespace_is_not_root_outside(podman):
    maps = ("--uidmap", "0:700000:65536", "--gidmap", "0:700000:65536")
    with pod(podman, *maps) as name:
        infra = pid_of(podman, infra_of(podman, name))
        for member in ("one", "two"):
            pid = pid_of(podman, member)
            equal(status_of(pid)["Uid"].split()[0], "700000", f"uid of {member} outside")
            equal(namespace(pid, "user"), namespace(infra, "user"), f"user namespace of {member}")
            equal(podman.run("exec", member, "id", "-u"), "0", f"uid of {member} inside")


@suite.test
def members_lie_in_the_cgroup_of_the_pod(podman):
    with pod(podman) as name:
        identity = json.loads(podman.run("pod", "inspect", name))["Id"]
        for member in ("one", "two"):
            expect(identity in str(cgroup_directory(pid_of(podman, member), "memory")), f"group of {member}")


@suite.test
def a_limit_of_the_pod_reaches_the_kernel(podman):
    with pod(podman, "--cpus", "0.5") as name:
        infra = pid_of(podman, infra_of(podman, name))
        group = cgroup_directory(infra, "cpu")
        for directory in (group, group.parent):
            for file in ("cpu.cfs_quota_us", "cpu.max"):
                if (directory / file).exists() and (directory / file).read_text().split()[0] == "50000":
                    return
        raise AssertionError(f"no quota of half a processor at {group}")


@suite.test
def an_init_container_runs_before_the_members(podman):
    with pod(podman, members=()) as name:
        podman.run("create", "--init-ctr", "always", "--pod", name, "--name", "first", podman.image, "touch",
                   "/dev/shm/prepared")
        podman.run("create", "--pod", name, "--name", "main", podman.image, "sh", "-c",
                   "ls /dev/shm; sleep 1000")
        podman.run("pod", "start", name)
        expect(eventually(lambda: podman.run("logs", "main") == "prepared"), podman.run("logs", "main"))


@suite.test
def a_pod_without_pause_process_works(podman):
    with pod(podman, "--infra=false", "--share", "none") as name:
        equal(states(podman, name), {"one": "running", "two": "running"}, "states")
        podman.run("pod", "kill", name)
        expect(eventually(lambda: set(states(podman, name).values()) == {"exited"}), states(podman, name))


@suite.test
def the_end_of_the_pause_process_is_survived(podman):
    with pod(podman) as name:
        os.kill(pid_of(podman, infra_of(podman, name)), signal.SIGKILL)
        expect(eventually(lambda: states(podman, name)["one"] == "running"), states(podman, name))
        equal(podman.run("exec", "one", "echo", "alive"), "alive", "a member")
        podman.run("pod", "rm", "-f", "-t", "0", name)


@suite.test
def pod_rm_refuses_what_runs_and_force_removes_it(podman):
    with pod(podman) as name:
        pids = [pid_of(podman, member) for member in ("one", "two", infra_of(podman, name))]
        refused = podman.call("pod", "rm", name)
        expect(refused.returncode != 0, refused)
        podman.run("pod", "rm", "-f", "-t", "0", name)
        expect(eventually(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids)),
               "a process lives on")
        equal(podman.run("pod", "ps", "-q"), "", "pods")


@suite.test
def a_pod_goes_to_kubernetes_words_and_back(podman):
    with pod(podman, members=()) as name:
        podman.run("run", "-d", "--pod", name, "--name", "one", "--cap-drop", "ALL", "--read-only",
                   podman.image, "sleep", "1000")
        words = podman.run("generate", "kube", name)
    manifest = podman.directory / "generated.yaml"
    manifest.write_text(words, encoding="utf-8")
    try:
        podman.run("play", "kube", manifest)
        status = status_of(pid_of(podman, "pod-one"))
        equal(int(status["CapEff"], 16), 0, "capabilities")
        expect("Read-only" in podman.call("exec", "pod-one", "touch", "/x").stderr, "the root can be written")
    except BaseException:
        podman.call("play", "kube", "--down", manifest)
        raise
    podman.run("play", "kube", "--down", manifest)
    equal(podman.run("pod", "ps", "-q"), "", "pods after play kube --down")


def left_of(podman, identities):
    """The groups of these containers, and what the runtime remembers of this podman's."""
    groups = [directory for directory, _, _ in os.walk("/sys/fs/cgroup")
              if any(f"libpod-{identity}" in directory for identity in identities)]
    listed = subprocess.run([RUNTIME, "list", "--format", "json"], capture_output=True, text=True,
                            timeout=30, check=True)
    return groups, [entry["id"] for entry in json.loads(listed.stdout) or []
                    if entry["bundle"].startswith(str(podman.directory))]


@suite.test
def pods_leave_nothing_behind(podman):
    with pod(podman):
        identities = podman.run("ps", "--all", "--quiet", "--no-trunc").split()
        groups, known = left_of(podman, identities)
        expect(groups and len(known) == 3, f"a live pod is not seen: {groups[:3]}, {known}")
    podman.call("pod", "rm", "-a", "-f", "-t", "0")
    equal(left_of(podman, identities), ([], []), "left")


if __name__ == "__main__":
    go_apart()
    sys.exit(run_suite(suite, {"podman": "podman"}, PodmanHost))
