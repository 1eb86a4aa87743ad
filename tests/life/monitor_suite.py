#!/usr/bin/env python3
"""The monitor: how small it is, what it holds, whom it answers, what it does when the container ends,
and what its own death costs."""

import json
import os
import pathlib
import re
import socket
import struct
import sys
import time

from life_support import container, nothing_left, own_memory, popen, run_suite, until
from support.harness import Skip, Suite, equal, expect

suite = Suite("monitor")
MOST_PRIVATE_KIB = 100
HELLO = b"\x01BHMO" + struct.pack("<HH", 1, 1)


@suite.test
def it_is_small_and_stays_so(host):
    with container(host, command=("sh", "-c", "while :; do echo line; sleep 0.01; done")) as identity:
        pid = host.monitor(identity)
        until(lambda: len(host.good("logs", identity).splitlines()) > 50, "some output")
        for _ in range(20):
            host.call("logs", identity)
            host.call("inspect", identity)
        used = own_memory(pid)
        print(f"  monitor: {used} KiB of its own")
        expect(used <= MOST_PRIVATE_KIB, f"{used} KiB")
        equal(pathlib.Path(f"/proc/{pid}/comm").read_text().strip(), "bulkhead-monit")
        line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().strip(b"\0").decode()
        equal(line, f"bulkhead-monitor {identity}", "what ps shows")
        expect(not pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[1:],
               "more than one child")


@suite.test
def it_gives_memory_back_after_a_flood(host):
    script = "seq 1000000; echo end; sleep 100000"
    with container(host, command=("sh", "-c", script)) as identity:
        until(lambda: host.good("logs", "--tail", "1", identity) == "end", "the flood is over", 120)
        until(lambda: own_memory(host.monitor(identity)) <= MOST_PRIVATE_KIB, "it is small again", 10)


@suite.test
def it_shows_no_secret_of_the_command_line(host):
    with container(host, "--env", "PASSWORD=very-secret-word") as identity:
        line = pathlib.Path(f"/proc/{host.monitor(identity)}/cmdline").read_bytes()
        expect(b"very-secret-word" not in line, line)


@suite.test
def it_answers_root_and_its_owner_alone(host):
    with container(host) as identity:
        directory = host.runroot / "monitor"
        path = directory / identity
        expect(os.stat(directory).st_mode & 0o777 == 0o700, "the directory is open to others")
        expect(not [line for line in pathlib.Path("/proc/net/unix").read_text().splitlines()
                    if identity in line and "@" in line.split()[-1]], "an abstract socket")
        equal(greeted(path), True, "root")
        # Without the guard of the directories, the peer's identity alone stands.
        opened = [host.work.directory, host.runroot, directory]
        modes = [os.stat(place).st_mode & 0o7777 for place in opened]
        for place in opened:
            os.chmod(place, 0o755)
        os.chmod(path, 0o666)
        try:
            equal(greeted_as_nobody(path), "refused", "another user")
        finally:
            for place, mode in zip(opened, modes):
                os.chmod(place, mode)
        equal(host.status(identity), "running")


def connect(client, path):
    """By way of a descriptor: the path itself may be too long for a socket address."""
    directory = os.open(path.parent, os.O_PATH)
    try:
        client.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


def greeted(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(20)
        connect(client, path)
        client.send(HELLO)
        answer = client.recv(1000)
        return answer[:1] == b"\x02" and len(answer) == 75


def answers(path):
    try:
        return greeted(path)
    except OSError:  # as many wait for it as may
        return False


def greeted_as_nobody(path):
    """In a child: "connected" would say that the test has not got through to the check at all."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        verdict = "no connection"
        try:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.settimeout(20)
            connect(client, path)
            verdict = "refused"
            client.send(HELLO)
            if client.recv(1000):
                verdict = "welcome"
        except OSError as error:
            verdict = verdict if isinstance(error, (BrokenPipeError, ConnectionResetError)) else str(error)
        os.write(writer, verdict.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    verdict = os.read(reader, 1000).decode()
    os.close(reader)
    return verdict


@suite.test
def nonsense_on_its_socket_changes_nothing(host):
    with container(host) as identity:
        path = host.runroot / "monitor" / identity
        for words in (b"", b"x" * 16000, b"\x0e", b"\x01", HELLO + b"x", b"\x0a\xff\xff"):
            for first in (b"", HELLO):
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                    connect(client, path)
                    if first:
                        client.send(first)
                    if words:
                        client.send(words)
        crowd = []
        for _ in range(100):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.settimeout(5)
            try:
                connect(client, path)
            except OSError:
                break
            crowd.append(client)
        for client in crowd:
            client.close()
        until(lambda: answers(path), "it answers again")
        equal(host.status(identity), "running")
        host.good("stop", "-t", "0", identity)


@suite.test
def restart_policies_do_as_they_say(host):
    with container(host, "--name", "three", "--restart", "on-failure:3",
                   command=("sh", "-c", "echo once; exit 3")):
        until(lambda: host.told("three", "{{.State.Status}} {{.RestartCount}}") == "exited 3",
              "three restarts")
        equal(host.good("logs", "three").split(), ["once"] * 4)
        equal(host.told("three", "{{.State.ExitCode}}"), "3")
    with container(host, "--name", "well", "--restart", "on-failure", command=("true",)):
        equal(host.good("wait", "well"), "0")
        equal(host.told("well", "{{.RestartCount}}"), "0")
    with container(host, "--name", "ever", "--restart", "always",
                   command=("sh", "-c", "echo again; sleep 0.05")) as identity:
        until(lambda: len(host.good("logs", "ever").split()) >= 3, "two restarts")
        seen = {host.status("ever") for _ in range(40)}
        expect(seen <= {"running", "restarting", "exited"}, seen)
        host.good("stop", "-t", "0", "ever")
        equal(host.status("ever"), "exited")
        count = len(host.good("logs", "ever").split())
        time.sleep(1)
        equal(len(host.good("logs", "ever").split()), count, "lives after stop")
        host.good("start", "ever")
        until(lambda: len(host.good("logs", "ever").split()) > count, "it starts again")
        host.good("update", "--restart", "no", "ever")
        until(lambda: host.status("ever") == "exited", "the new policy")
        host.good("rm", "ever")
        nothing_left(host, identity)


@suite.test
def the_end_is_told_with_all_that_is_known(host):
    with container(host, "--name", "limit", "--timeout", "500ms", "--restart", "always"):
        equal(host.good("wait", "limit"), "137")
        equal(host.told("limit", "{{.State.TimedOut}} {{.State.OOMKilled}} {{.State.Status}}"),
              "true false exited")
    with container(host, "--name", "oom", "--memory", "16m", "--memory-swap", "16m",
                   command=("sh", "-c", "dd if=/dev/zero of=/dev/null bs=64M count=1; exit 9")):
        host.good("wait", "oom")
        equal(host.told("oom", "{{.State.OOMKilled}}"), "true")
    with container(host, "--name", "seg", command=("sh", "-c", "kill -SEGV $$; sleep 100000")):
        host.good("kill", "-s", "KILL", "seg") if host.status("seg") == "running" else None
        equal(host.told("seg", "{{.State.ExitCode}}"), "137")
        expect(host.told("seg", "{{.State.FinishedAt}}") > host.told("seg", "{{.State.StartedAt}}"),
               "the times")


@suite.test
def its_death_costs_logs_at_most(host):
    script = "trap 'exit 3' TERM; i=0; while :; do i=$((i+1)); echo $i > /tmp/n; echo $i; sleep 0.02; done"
    with container(host, "--name", "orphan", "--tmpfs", "/tmp", command=("sh", "-c", script)) as identity:
        until(lambda: host.good("logs", "orphan"), "some output")
        first = host.monitor(identity)
        os.kill(first, 9)
        until(lambda: not pathlib.Path(f"/proc/{first}").exists(), "its death")
        count = int(host.good("exec", "orphan", "cat", "/tmp/n"))
        until(lambda: int(host.good("exec", "orphan", "cat", "/tmp/n")) > count + 5,
              "the container goes on")
        equal(host.status("orphan"), "running", "as the kernel says")
        expect("Up " in host.good("ps", "--filter", "name=orphan", "--format", "{{.Status}}"), "ps")
        expect(host.monitor(identity) != first, "a new one")
        host.refused("start", "-a", "orphan", words=["running"])
        host.refused("rm", "orphan", words=["running"])
        host.good("stop", "orphan")
        told = json.loads(host.told("orphan", "{{json .State}}"))
        equal(told["Status"], "exited")
        # Nobody's child: how it ended, a kernel tells from 6.15 on.
        expect("monitor was killed" in told["Error"] or told["ExitCode"] == 3, told)
        host.good("start", "orphan")
        equal(host.status("orphan"), "running", "with a new monitor")
        expect(host.monitor(identity) > 0, "the new monitor")
    nothing_left(host, identity)


@suite.test
def logs_are_followed_to_the_end(host):
    with container(host, "--name", "talk", command=(
            "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do echo out $i; echo err $i >&2; sleep 0.1; done")):
        following = popen(host, "logs", "--follow", "talk")
        out, err = following.communicate(timeout=60)
        equal(out.splitlines(), [f"out {i}" for i in range(1, 9)])
        equal(err.splitlines(), [f"err {i}" for i in range(1, 9)])
        stamped = host.good("logs", "--timestamps", "--tail", "2", "talk")
        expect(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z out 8", stamped), stamped)
        equal(host.good("logs", "--since", "1h", "--tail", "0", "talk"), "")
        equal(host.good("logs", "--until", "1h", "talk"), "")
        middle = host.call("logs", "-t", "talk").stdout.splitlines()[3].split()[0]
        later = host.good("logs", "--since", middle, "talk").splitlines()
        equal(later[0], "out 4")
        host.refused("logs", "--since", "whenever", "talk", code=125, words=["since"])
    with container(host, "--name", "mute", "--log-driver", "none", command=("echo", "x")):
        host.good("wait", "mute")
        host.refused("logs", "mute", words=["log"])


@suite.test
def a_user_of_the_container_can_open_its_streams(host):
    script = "echo direct > /dev/stdout; echo wrong > /dev/stderr; echo end"
    with container(host, "--name", "dev", "--user", "1000:1000", command=("sh", "-c", script)):
        host.good("wait", "dev")
        done = host.call("logs", "dev")
        equal((done.stdout, done.stderr), ("direct\nend\n", "wrong\n"))


@suite.test
def a_full_disk_stops_no_container(host):
    place = host.work.directory / "small"
    place.mkdir()
    if os.system(f"mount -t tmpfs -o size=3m,mode=700 tmpfs {place}") != 0:
        raise Skip("no tmpfs can be mounted")
    store, host.store = host.store, place / "store"
    try:
        script = ("i=0; while [ $i -lt 40000 ]; do i=$((i+1)); echo line $i of a long, long story; done; "
                  "exit 7")
        with container(host, "--name", "full", "--log-opt", "max-size=-1",
                       command=("sh", "-c", script)):
            equal(host.good("wait", "full"), "7")
            lines = host.good("logs", "full").splitlines()
            equal(lines[0], "line 1 of a long, long story")
            expect(len(lines) < 40000, "the disk was not full")
    finally:
        host.remove_all()
        host.store = store
        os.system(f"umount {place}")


if __name__ == "__main__":
    sys.exit(run_suite(suite))
