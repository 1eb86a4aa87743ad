#!/usr/bin/env python3
"""Hooks, descriptors and sockets of a container."""

import fcntl
import json
import os
import pathlib
import re
import socket
import stat
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from runtime_support import Container, Listener, WAIT, background, main, nothing_left
from support.bundles import Traces, default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("runtime")


STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def hook(work, script, **more):
    path = work.directory / f"hook{next(work.numbers)}.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"path": str(path), "args": ["hook"], "env": ["PATH=/usr/bin:/bin"], **more}


def inner_hook(script):
    """startContainer hooks are looked up in the container."""
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}


@suite.test
def hooks_of_all_stages_come_in_order_with_the_state_on_stdin(work):
    place = work.directory / f"hooks{next(work.numbers)}"
    place.mkdir()
    config = default_config(WAIT)
    config["mounts"].append({"destination": "/tmp", "type": "bind", "source": str(place),
                             "options": ["bind", "rw"]})
    def record(stage, number, where):
        return (f"cat > {where}/{stage}.{number}; echo {stage}.{number} >> {where}/order; "
                f"readlink /proc/self/ns/mnt > {where}/{stage}.{number}.mnt; "
                f"readlink /proc/self/ns/pid > {where}/{stage}.{number}.pid")
    config["hooks"] = {
        stage: [inner_hook(record(stage, n, "/tmp")) if stage == "startContainer"
                else hook(work, record(stage, n, place)) for n in (1, 2)] for stage in STAGES}
    def order():
        return (place / "order").read_text().split()
    with Container(work, config) as container:
        equal(order(), [f"{s}.{n}" for s in STAGES[:3] for n in (1, 2)], "hooks of create")
        pid = container.state()["pid"]
        inside = os.readlink(f"/proc/{pid}/ns/mnt")
        container.good("start")
        equal(order(), [f"{s}.{n}" for s in STAGES[:5] for n in (1, 2)], "hooks until start")
        container.good("kill", "KILL")
        container.wait_for("stopped")
        container.good("delete")
    equal(order(), [f"{s}.{n}" for s in STAGES for n in (1, 2)], "all hooks")
    host = os.readlink("/proc/self/ns/mnt")
    statuses = dict(zip(STAGES, (("creating", "created"), ("creating", "created"),
                                 ("creating", "created"), ("created",), ("running",),
                                 ("stopped",))))
    for stage in STAGES:
        for number in (1, 2):
            state = json.loads((place / f"{stage}.{number}").read_text())
            equal(state["id"], container.name, stage)
            expect(state["status"] in statuses[stage], f"{stage}: {state['status']}")
            # Those in the container are told the number that they can look up there.
            expected = {"poststop": (0, None), "createContainer": (1,),
                        "startContainer": (1,)}.get(stage, (pid,))
            expect(state.get("pid") in expected, f"{stage}: pid {state.get('pid')}")
            equal(state["bundle"], str(container.bundle), stage)
            namespace = (place / f"{stage}.{number}.mnt").read_text().strip()
            equal(namespace, inside if stage in ("createContainer", "startContainer") else host,
                  f"mount namespace of {stage}")


@suite.test
def a_hook_that_fails_stops_the_start_and_leaves_nothing(work):
    for stage in STAGES[:5]:
        traces = Traces(f"test-{os.getpid()}-")
        config = default_config(["sh", "-c", "echo program; sleep 100"])
        script = "echo broken by design >&2; exit 3"
        stopped = work.directory / f"poststop{next(work.numbers)}"
        config["hooks"] = {stage: [inner_hook(script) if stage == "startContainer"
                                   else hook(work, script)],
                           "poststop": [hook(work, f"echo run >> {stopped}")]}
        name = work.new_id()
        done = work.call("run", "--bundle", work.bundle(config), name)
        equal(done.returncode, 1, f"{stage}: {done}")
        expect(stage in done.stderr or "hook" in done.stderr, f"{stage}: {done.stderr}")
        expect("broken by design" in done.stderr, f"{stage}: what it said: {done.stderr}")
        if stage != "poststart":
            expect("program" not in done.stdout, f"{stage}: the program ran")
        expect(not (work.state / name).exists(), f"{stage}: state is left")
        equal(stopped.read_text(), "run\n", f"{stage}: poststop hooks")
        nothing_left(traces)


@suite.test
def a_hook_is_killed_after_its_timeout(work):
    traces = Traces(f"test-{os.getpid()}-")
    config = default_config(["true"])
    config["hooks"] = {"createRuntime": [hook(work, "sleep 50", timeout=1)]}
    begin = time.monotonic()
    done = work.run(config)
    expect(done.returncode == 1 and "timeout" in done.stderr, done)
    expect(0.9 < time.monotonic() - begin < 8, f"after {time.monotonic() - begin} s")
    nothing_left(traces)


@suite.test
def a_failing_poststop_hook_does_not_stop_the_deletion(work):
    config = default_config(["true"])
    record = work.directory / f"second{next(work.numbers)}"
    config["hooks"] = {"poststop": [hook(work, "exit 1"), hook(work, f"echo yes > {record}")]}
    with Container(work, config) as container:
        container.good("start")
        container.wait_for("stopped")
        container.call("delete")
        equal(record.read_text(), "yes\n", "the second hook")
        expect(not (work.state / container.name).exists(), "the state is left")


@suite.test
def the_pid_file_holds_the_first_processes_pid(work):
    file = work.directory / "pid"
    with Container(work, default_config(), "--pid-file", file) as container:
        equal(file.read_text(), str(container.state()["pid"]))
    with background(work) as container:
        done = container.exec("sh", "-c", "true", options=("--pid-file", str(file)))
        equal(done.returncode, 0, done.stderr)
        expect(re.fullmatch(r"\d+", file.read_text()), file.read_text())
    traces = Traces(f"test-{os.getpid()}-")
    done = work.run(default_config(), options=("--pid-file", "/no/such/place/pid"))
    expect(done.returncode == 1 and "/no/such/place/pid" in done.stderr, done)
    nothing_left(traces)


def many_descriptors(work, count):
    """Files whose descriptors will be 3, 4, … in the runtime, through a shell."""
    paths = []
    for number in range(count):
        path = work.directory / f"given{number}"
        path.write_text(f"content {number}")
        paths.append(path)
    return " ".join(f"{3 + number}<{path}" for number, path in enumerate(paths))


@suite.test
def preserved_descriptors_arrive(work):
    given = many_descriptors(work, 3)
    script = "for n in 3 4 5; do cat <&$n && echo; done 2>&1; ls /proc/self/fd | wc -l"
    bundle = work.bundle(default_config(["sh", "-c", script]))
    command = " ".join(work.command("run", "--preserve-fds", "2", "--bundle", bundle,
                                    work.new_id()))
    done = subprocess.run(["sh", "-c", f"{command} {given}"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=30, check=False)
    lines = done.stdout.splitlines()
    equal(lines[:2], ["content 0", "content 1"], f"{done}")
    expect("content 2" not in done.stdout, "one more than was asked for")
    done = work.run(default_config(), options=("--preserve-fds", "9"))
    expect(done.returncode == 1 and "not open" in done.stderr, f"closed ones: {done}")


@suite.test
def socket_activation_is_handed_on(work):
    given = many_descriptors(work, 2)
    script = "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&3; echo; cat <&4 || echo none"
    bundle = work.bundle(default_config(["sh", "-c", script]))
    for pid, expected in (("$$", ["1 1 web", "content 0"]), ("1", [""])):
        command = " ".join(work.command("run", "--bundle", bundle, work.new_id()))
        done = subprocess.run(["sh", "-c", f"export LISTEN_FDS=1 LISTEN_FDNAMES=web LISTEN_PID={pid}; "
                               f"exec {command} {given}"], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=30, check=False)
        equal(done.stdout.splitlines()[:len(expected)], expected, f"LISTEN_PID={pid}: {done}")
        expect("content 1" not in done.stdout, done.stdout)


@suite.test
def readiness_is_passed_to_the_notify_socket(work):
    # busybox has one program that sends a datagram to a Unix socket: logger, to /dev/log.
    # A line break in it makes READY=1 a line of its own.
    script = ('ln -s "$NOTIFY_SOCKET" /dev/log; sleep 0.5; logger "begin\nREADY=1\n"; echo sent; '
              'sleep 100')
    path = work.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as host:
        host.bind(str(path))
        host.settimeout(10)
        environment = dict(os.environ, NOTIFY_SOCKET=str(path))
        with Container(work, default_config(["sh", "-c", script]), env=environment) as container:
            begin = time.monotonic()
            done = container.call("start", env=environment, timeout=15)
            equal(done.returncode, 0, done.stderr)
            expect(time.monotonic() - begin > 0.4, "start does not wait until it is ready")
            text = host.recv(4096).decode().splitlines()
            expect("READY=1" in text, text)
            equal([line for line in text if line.startswith("MAINPID=")],
                  [f"MAINPID={container.state()['pid']}"])


def window_size(descriptor):
    return struct.unpack("HHHH", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8))[:2]


@suite.test
def the_console_socket_receives_the_terminal(work):
    config = merge(default_config(["sh", "-c", "tty; stty size; echo $TERM; test -t 0 && test -t 1 "
                                   "&& test -t 2 && echo all; sleep 100"]),
                   {"process": {"terminal": True, "consoleSize": {"height": 33, "width": 111}}})
    with Listener(work) as listener:
        with Container(work, config, "--console-socket", listener.path) as container:
            master = listener.descriptor()
            try:
                expect(os.isatty(master), "what was sent is no terminal")
                equal(window_size(master), (33, 111), "rows and columns")
                container.good("start")
                text = b""
                while b"all" not in text:
                    text += os.read(master, 4096)
                lines = text.decode().split()
                expect(lines[0].startswith("/dev/") and lines[1:3] == ["33", "111"], lines)
                pid = container.state()["pid"]
                terminal = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1]
                               .split()[4])
                expect(terminal != 0, "it is not the controlling terminal")
                status = os.stat(f"/proc/{pid}/root/dev/console")
                expect(stat.S_ISCHR(status.st_mode), "/dev/console is no device")
            finally:
                os.close(master)
    for options, changes, word in (((), {"terminal": True}, "console-socket"),
                                   (("--console-socket", "/no/such"), {"terminal": True},
                                    "/no/such"),
                                   (("--console-socket", "/no/such"), {"terminal": False},
                                    "terminal")):
        traces = Traces(f"test-{os.getpid()}-")
        done = work.call("create", "--bundle", work.bundle(merge(default_config(),
                                                                 {"process": changes})),
                         *options, work.new_id())
        expect(done.returncode == 1 and word in done.stderr, f"{options} {changes}: {done}")
        nothing_left(traces)


@suite.test
def the_pidfd_socket_receives_a_pidfd(work):
    with Listener(work) as listener:
        with Container(work, default_config(WAIT), "--pidfd-socket", listener.path) as container:
            descriptor = listener.descriptor()
            try:
                text = pathlib.Path(f"/proc/self/fdinfo/{descriptor}").read_text()
                number = re.search(r"^Pid:\s*(\d+)", text, re.MULTILINE)
                equal(int(number[1]), container.state()["pid"])
            finally:
                os.close(descriptor)
    with background(work) as container, Listener(work) as listener:
        done = container.exec("true", options=("--pidfd-socket", str(listener.path)))
        equal(done.returncode, 0, done.stderr)
        os.close(listener.descriptor())


if __name__ == "__main__":
    sys.exit(main(suite))
