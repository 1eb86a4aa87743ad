#!/usr/bin/env python3
"""The runtime's commands as engines call them: life cycle, hooks, descriptors, sockets, exec, errors,
namespaces that are joined, rootless containers and many starts at once."""

import array
import concurrent.futures
import fcntl
import json
import os
import pathlib
import re
import shutil
import socket
import stat
import struct
import subprocess
import sys
import termios
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import FULL, Traces, Workshop, default_config, merge
from support.harness import Skip, Suite, equal, expect

suite = Suite("runtime")
NOBODY = 65534
WAIT = ["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done"]


class Container:
    """A container that was created, or run in the background; its output goes to a file."""

    def __init__(self, work, config, *options, command="create", name=None, **more):
        self.work = work
        self.name = name or work.new_id()
        self.output = work.directory / f"{self.name}.out"
        self.bundle = work.bundle(config)
        before = ["--detach"] if command == "run" else []
        with open(self.output, "w", encoding="utf-8") as output:
            self.made = subprocess.run(
                work.command(command, *before, "--bundle", self.bundle, *options, self.name),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60, check=False,
                **more)

    def __enter__(self):
        equal(self.made.returncode, 0, f"exit code of create or run: {self.text()}")
        return self

    def __exit__(self, *_):
        self.work.call("delete", "--force", self.name)

    def text(self):
        return self.output.read_text(errors="replace")

    def call(self, command, *arguments, **more):
        return self.work.call(command, self.name, *arguments, **more)

    def good(self, command, *arguments, **more):
        done = self.call(command, *arguments, **more)
        equal(done.returncode, 0, f"exit code of {command}: {done.stderr}")
        return done.stdout

    def exec(self, *arguments, options=(), **more):
        return self.work.call("exec", *options, self.name, *arguments, **more)

    def state(self):
        return json.loads(self.good("state"))

    def wait_for(self, status, seconds=5):
        deadline = time.monotonic() + seconds
        while self.state()["status"] != status:
            expect(time.monotonic() < deadline, f"{self.state()['status']} instead of {status}")
            time.sleep(0.01)

    def wait_for_text(self, word, seconds=5):
        deadline = time.monotonic() + seconds
        while word not in self.text():
            expect(time.monotonic() < deadline, f"{word!r} does not come: {self.text()!r}")
            time.sleep(0.01)


def background(work, config=None, *options, **more):
    return Container(work, config or default_config(["sleep", "100"]), *options, command="run",
                     **more)


def nothing_left(traces):
    left = traces.leftovers()
    expect(not left, f"left behind: {left[:5]}")


def group_file(name, controller, file):
    """Where the container's limit is read: the group may lie in a v1 or a v2 hierarchy."""
    for base in (f"/sys/fs/cgroup/{controller}", "/sys/fs/cgroup"):
        for path in pathlib.Path(base).rglob(f"*{name}*/{file}"):
            return path.read_text().strip()
    raise Skip(f"no hierarchy has {file}")


def receive_descriptor(listener):
    """What was sent over a socket: the descriptor and the text."""
    listener.settimeout(10)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        text, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4 * 4))
        numbers = array.array("i")
        for level, kind, data in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers.frombytes(data[:len(data) - len(data) % numbers.itemsize])
        return list(numbers), text.decode()


class Listener:
    def __init__(self, work):
        self.path = work.directory / f"s{next(work.numbers)}"

    def __enter__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.socket.listen()
        self.result = None
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        return self

    def _serve(self):
        try:
            self.result = receive_descriptor(self.socket)
        except OSError as error:
            self.result = error

    def descriptor(self):
        self.thread.join()
        expect(isinstance(self.result, tuple) and len(self.result[0]) == 1,
               f"received {self.result!r}")
        return self.result[0][0]

    def __exit__(self, *_):
        self.thread.join()
        self.socket.close()


# --- life cycle --------------------------------------------------------------------------------------


@suite.test
def a_container_goes_from_created_to_running_to_stopped_to_gone(work):
    traces = Traces(f"test-{os.getpid()}-")
    config = default_config(WAIT, annotations={"org.example.key": "value"})
    with Container(work, config) as container:
        state = container.state()
        equal(state["status"], "created")
        equal((state["id"], state["bundle"], state["rootfs"], state["annotations"]),
              (container.name, str(container.bundle), str(work.rootfs),
               {"org.example.key": "value"}))
        expect(re.fullmatch(r"\d+\.\d+\.\d+.*", state["ociVersion"]), state["ociVersion"])
        expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", state["created"]), state)
        pid = state["pid"]
        expect(b"trap" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes(),
               "the program runs before its start")
        container.good("start")
        state = container.state()
        equal((state["status"], state["pid"]), ("running", pid))
        expect(b"trap" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes(), "the program's line")
        container.good("kill", "TERM")
        container.wait_for("stopped")
        equal(container.state()["pid"], 0, "pid of a container that has stopped")
        equal(container.good("delete"), "")
        equal(container.call("state").returncode, 1)
    expect(not (work.state / container.name).exists(), "the state directory is still there")
    nothing_left(traces)


@suite.test
def commands_in_the_wrong_state_fail_with_the_words_that_callers_look_for(work):
    with Container(work, default_config(["sleep", "100"])) as container:
        done = work.call("create", "--bundle", container.bundle, container.name)
        expect(done.returncode == 1 and "already exists" in done.stderr, done.stderr)
        equal(container.state()["status"], "created", "after a second create of the same id")
        container.good("start")
        done = container.call("start")
        expect(done.returncode == 1 and "cannot start" in done.stderr, done.stderr)
        done = container.call("delete")
        expect(done.returncode == 1 and "running" in done.stderr
               and "--force" in done.stderr, f"delete of a running one: {done.stderr}")
        done = container.call("resume")
        expect(done.returncode == 1 and "not paused" in done.stderr, done.stderr)
        container.good("kill", "KILL")
        container.wait_for("stopped")
        for command, words in (("kill", "container not running"), ("pause", "it is stopped"),
                               ("start", "stopped"), ("ps", "")):
            done = container.call(command)
            if words:
                expect(done.returncode == 1 and words in done.stderr, f"{command}: {done}")
        done = container.exec("true")
        expect(done.returncode == 255 and "stopped" in done.stderr, f"exec: {done}")
    for command in ("state", "start", "kill", "delete", "pause", "resume", "ps", "update",
                    "events"):
        done = work.call(command, "no-such-id")
        expect(done.returncode == 1 and "does not exist" in done.stderr
               and "no-such-id" in done.stderr, f"{command}: {done}")
    equal(work.call("delete", "--force", "no-such-id").returncode, 0, "delete --force")
    equal(work.call("exec", "no-such-id", "true").returncode, 255, "exec")


@suite.test
def signals_are_taken_by_number_and_name(work):
    for signal_name in ("TERM", "SIGTERM", "15", "sigterm"):
        with background(work, default_config(["sh", "-c", "trap 'echo got; exit' TERM; echo up; "
                                              "while :; do sleep 0.05; done"])) as container:
            container.wait_for_text("up")
            container.good("kill", signal_name)
            container.wait_for("stopped")
            expect("got" in container.text(), f"{signal_name}: {container.text()}")
    with background(work) as container:
        equal(container.call("kill", "0").returncode, 0, "kill 0 asks whether it lives")
        for bad in ("FOO", "65", "-1", "9x", ""):
            done = container.call("kill", "--", bad) if bad.startswith("-") else container.call(
                "kill", bad)
            expect(done.returncode == 1, f"kill {bad!r} was taken")
        equal(container.state()["status"], "running")


@suite.test
def kill_all_reaches_every_process(work):
    config = default_config(["sleep", "100"])
    config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"]
                                     if n["type"] != "pid"]
    traces = Traces(f"test-{os.getpid()}-")
    with background(work, config) as container:
        subprocess.run(work.command("exec", "--detach", container.name, "sleep", "100"),
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True, timeout=30)
        pids = json.loads(work.call("ps", "--format", "json", container.name).stdout)
        equal(len(pids), 2, "processes")
        done = work.call("kill", "--all", container.name, "KILL")
        equal(done.returncode, 0, done.stderr)
        container.wait_for("stopped")
        deadline = time.monotonic() + 5
        while any(os.path.exists(f"/proc/{pid}/exe") and os.readlink(f"/proc/{pid}/exe")
                  for pid in pids if os.path.exists(f"/proc/{pid}/cwd")):
            expect(time.monotonic() < deadline, "a process has survived")
            time.sleep(0.02)
    nothing_left(traces)


@suite.test
def run_passes_the_exit_code_on(work):
    for script, code in (("exit 0", 0), ("exit 42", 42), ("kill -9 $$", None), ("exit 255", 255)):
        done = work.shell(f"sh -c '{script}'" if code is not None else script)
        if code is not None:
            equal(done.returncode, code, script)
    # The first process of a pid namespace is not killed by its own signals: from outside it is.
    process = subprocess.Popen(work.command("run", "--bundle",
                                            work.bundle(default_config(["sleep", "100"])),
                                            name := work.new_id()),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 5
    while '"running"' not in work.call("state", name).stdout:
        expect(time.monotonic() < deadline, "it does not run")
        time.sleep(0.01)
    equal(work.call("kill", name, "KILL").returncode, 0)
    equal(process.wait(10), 137, "exit code after SIGKILL")
    expect(not (work.state / name).exists(), "run has left its state")


@suite.test
def run_forwards_signals(work):
    bundle = work.bundle(default_config(["sh", "-c", "trap 'echo got; exit 9' INT TERM USR1; "
                                         "echo up; while :; do sleep 0.05; done"]))
    for number in (2, 15, 10):
        process = subprocess.Popen(work.command("run", "--bundle", bundle, work.new_id()),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        equal(process.stdout.readline().strip(), "up")
        process.send_signal(number)
        equal((process.stdout.read().strip(), process.wait(10)), ("got", 9), f"signal {number}")
        process.stdout.close()


@suite.test
def list_and_ps_say_what_runs(work):
    with background(work) as first, Container(work, default_config()) as second:
        listed = {entry["id"]: entry for entry in
                  json.loads(work.call("list", "--format", "json").stdout)}
        equal({first.name, second.name} - set(listed), set())
        entry = listed[first.name]
        for key in ("ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"):
            expect(key in entry, f"list has no {key}")
        equal((entry["status"], listed[second.name]["status"], entry["owner"]),
              ("running", "created", "root"))
        table = work.call("list").stdout.splitlines()
        equal(table[0].split(), ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"])
        expect(any(line.split()[0] == first.name for line in table[1:]), table)
        equal(set(work.call("list", "--quiet").stdout.split()) & {first.name, second.name},
              {first.name, second.name}, "list --quiet")
        equal(json.loads(work.call("ps", "--format", "json", first.name).stdout),
              [first.state()["pid"]])
        table = first.good("ps").splitlines()
        expect("PID" in table[0] and "sleep 100" in table[1] and len(table) == 2, table)


@suite.test
def pause_stops_every_process_and_resume_lets_them_go_on(work):
    with background(work, default_config(["sh", "-c",
                                          "while :; do echo x; sleep 0.02; done"])) as container:
        container.wait_for_text("x")
        container.good("pause")
        equal(container.state()["status"], "paused")
        size = len(container.text())
        time.sleep(0.3)
        expect(len(container.text()) <= size + 2, "it goes on while it is paused")
        done = container.exec("true", timeout=10)
        expect(done.returncode == 255 and "paused" in done.stderr, f"exec: {done}")
        size = len(container.text())
        container.good("resume")
        equal(container.state()["status"], "running")
        deadline = time.monotonic() + 5
        while len(container.text()) <= size + 2:
            expect(time.monotonic() < deadline, "it does not go on")
            time.sleep(0.02)
        container.good("pause")
        equal(work.call("delete", "--force", container.name, timeout=20).returncode, 0,
              "delete --force of a paused container")


@suite.test
def update_changes_limits_and_leaves_the_others(work):
    with background(work) as container:
        done = work.call("update", "--memory", "128m", "--pids-limit", "40", container.name)
        equal(done.returncode, 0, done.stderr)
        equal(group_file(container.name, "memory", "memory.limit_in_bytes"), str(128 << 20))
        equal(group_file(container.name, "pids", "pids.max"), "40")
        for arguments in (("--resources", "-"), ("--resources=-",), ("-r", "-")):
            done = work.call("update", *arguments, container.name, stdin=None,
                             input=json.dumps({"cpu": {"quota": 50000, "period": 100000,
                                                       "shares": 512}}))
            equal(done.returncode, 0, done.stderr)
        equal(group_file(container.name, "cpu", "cpu.cfs_quota_us"), "50000")
        equal(group_file(container.name, "cpu", "cpu.shares"), "512")
        equal(group_file(container.name, "pids", "pids.max"), "40", "after the second update")
        file = work.directory / "resources.json"
        file.write_text('{"pids": {"limit": 50}, "memory": {"limit": 1}}')
        done = work.call("update", "--resources", file, container.name)
        expect(done.returncode == 1 and "memory" in done.stderr, f"a limit of 1 byte: {done}")
        equal(group_file(container.name, "pids", "pids.max"), "40", "after a refused update")
        for bad in ("--memory=lots", "--pids-limit=x", "--cpu-period=1", "--cpuset-cpus=99999"):
            done = work.call("update", bad, container.name)
            expect(done.returncode == 1 and done.stderr, f"{bad}: {done}")


@suite.test
def events_prints_statistics_and_ends_with_the_container(work):
    with background(work) as container:
        lines = work.call("events", "--stats", container.name).stdout.splitlines()
        equal(len(lines), 1, "lines")
        event = json.loads(lines[0])
        equal((event["type"], event["id"]), ("stats", container.name))
        expect(event["data"]["pids"]["current"] >= 1, event["data"]["pids"])
        expect(event["data"]["memory"]["usage"]["usage"] > 0, event["data"]["memory"])
        expect(event["data"]["cpu"]["usage"]["total"] > 0, event["data"]["cpu"])
        process = subprocess.Popen(work.command("events", "--interval", "100ms", container.name),
                                   stdout=subprocess.PIPE, text=True)
        for _ in range(2):
            equal(json.loads(process.stdout.readline())["type"], "stats")
        container.good("kill", "KILL")
        equal(process.wait(10), 0, "events after the end")
        process.stdout.close()


@suite.test
def events_tells_of_an_oom_kill(work):
    script = "while :; do sleep 0.3; dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; done"
    config = merge(default_config(["sh", "-c", script]),
                   {"linux": {"resources": {"memory": {"limit": 16 << 20}}}})
    with background(work, config) as container:
        process = subprocess.Popen(work.command("events", container.name), stdout=subprocess.PIPE,
                                   text=True)
        killer = threading.Timer(15, process.kill)
        killer.start()
        try:
            kinds = []
            while "oom" not in kinds:
                line = process.stdout.readline()
                expect(line, f"no oom event: {kinds}")
                kinds.append(json.loads(line)["type"])
        finally:
            killer.cancel()
            process.kill()
            process.wait()
            process.stdout.close()


@suite.test
def features_and_version_and_spec_are_true(work):
    features = json.loads(work.call("features").stdout)
    expect(features["ociVersionMin"] == "1.0.0" and features["ociVersionMax"].startswith("1.3"),
           features["ociVersionMax"])
    for option in ("rro", "ridmap", "idmap", "tmpcopyup", "rbind", "nosymfollow"):
        expect(option in features["mountOptions"], f"no {option}")
    expect({"user", "pid", "network", "mount", "ipc", "uts", "cgroup"}
           <= set(features["linux"]["namespaces"]), features["linux"]["namespaces"])
    equal(features["linux"]["mountExtensions"]["idmap"]["enabled"], True, "idmapped mounts")
    equal(features["linux"]["seccomp"]["enabled"], True, "seccomp")
    version = work.call("--version").stdout
    expect(re.match(r"\S+ version \d+\.\d+\.\d+\ncommit: \S+\nspec: 1\.3\.\d+", version), version)
    bundle = work.directory / f"spec{next(work.numbers)}"
    bundle.mkdir()
    (bundle / "rootfs").symlink_to(work.rootfs)
    equal(work.call("spec", "--bundle", bundle).returncode, 0)
    config = json.loads((bundle / "config.json").read_text())
    equal(config["root"]["path"], "rootfs")
    done = work.call("spec", "--bundle", bundle)
    expect(done.returncode == 1 and "config.json" in done.stderr, f"a second spec: {done}")
    for command, code in (("checkpoint", 0), ("restore", 0), ("run", 0)):
        equal(work.call(command, "--help").returncode, code, f"{command} --help")
    done = work.call("restore", "--lsm-mount-context")
    expect(done.returncode != 0 and "flag needs an argument" in done.stdout + done.stderr, done)


# --- hooks -------------------------------------------------------------------------------------------


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
            # Those in the container see its pid namespace, or are told the host's number.
            expected = {"poststop": (0, None), "startContainer": (pid, 1)}.get(stage, (pid,))
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


# --- descriptors and sockets ---------------------------------------------------------------------------


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


# --- exec --------------------------------------------------------------------------------------------


@suite.test
def exec_changes_what_its_flags_name(work):
    config = merge(default_config(["sleep", "100"]), {"process": {"env": ["PATH=/bin", "A=1"]}})
    with background(work, config) as container:
        def said(script, *options):
            done = container.exec("sh", "-c", script, options=options)
            equal(done.returncode, 0, f"{options}: {done.stderr}")
            return done.stdout.strip()
        equal(said("echo $A $B", "--env", "B=2", "-e", "A=3"), "3 2")
        equal(said("pwd", "--cwd", "/etc"), "/etc")
        equal(said("id -u; id -g; id -G", "--user", "5:6", "--additional-gids", "7", "-g", "8")
              .split(), ["5", "6", "6", "7", "8"])
        def effective(*options):
            return int(said("grep CapEff /proc/self/status", *options).split()[1], 16)
        equal(effective() | 1 << 12, effective("--cap", "CAP_NET_ADMIN"), "a capability more")
        equal(effective("-c", "NET_RAW"), effective() | 1 << 13, "a capability without CAP_")
        for code in (0, 1, 77):
            equal(container.exec("sh", "-c", f"exit {code}").returncode, code)
        equal(container.exec("sh", "-c", "kill -9 $$").returncode, 137, "killed by a signal")
        done = container.exec("cat", stdin=None, input="from outside")
        equal(done.stdout, "from outside", "standard input")
        for arguments, options, words in (
                (("/no/such",), (), "no such file or directory"),
                (("no-such",), (), "executable file not found in"),
                (("/etc/passwd",), (), "permission denied"),
                (("true",), ("--cwd", "/no/such"), "/no/such"),
                (("true",), ("--cap", "CAP_NONSENSE"), "CAP_NONSENSE"),
                (("true",), ("--user", "root"), "root")):
            done = container.exec(*arguments, options=options)
            if options == ("--cap", "CAP_NONSENSE"):
                expect("CAP_NONSENSE" in done.stderr, done)
                continue
            equal(done.returncode, 255, f"{arguments} {options}: {done}")
            expect(words in done.stderr, f"{arguments} {options}: {done.stderr}")


@suite.test
def exec_takes_a_process_from_a_file_and_detaches(work):
    with background(work) as container:
        file = work.directory / "process.json"
        process = default_config(["sh", "-c", "echo $X; pwd; id -u; sleep 100"])["process"]
        process.update(cwd="/tmp", env=["X=given", "PATH=/bin"], user={"uid": 9, "gid": 9})
        file.write_text(json.dumps(process))
        pid_file = work.directory / "exec-pid"
        output = work.directory / "exec-output"
        with open(output, "w", encoding="utf-8") as stream:
            done = subprocess.run(
                work.command("exec", "--process", file, "--detach", "--pid-file", pid_file,
                             container.name), stdin=subprocess.DEVNULL, stdout=stream,
                stderr=stream, timeout=20, check=False)
        equal(done.returncode, 0, output.read_text())
        pid = int(pid_file.read_text())
        deadline = time.monotonic() + 5
        while len(output.read_text().split()) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        equal(output.read_text().split(), ["given", "/tmp", "9"])
        equal(os.readlink(f"/proc/{pid}/ns/pid"),
              os.readlink(f"/proc/{container.state()['pid']}/ns/pid"), "pid namespace")
        expect(pid in json.loads(work.call("ps", "--format=json", container.name).stdout), "ps")
        file.write_text('{"args": ["true"], "cwd": "relative"}')
        done = work.call("exec", "--process", file, container.name)
        expect(done.returncode == 255 and "cwd" in done.stderr, f"a relative cwd: {done}")


@suite.test
def exec_gets_a_terminal_of_its_own(work):
    with background(work) as container, Listener(work) as listener:
        done = subprocess.run(
            work.command("exec", "--tty", "--detach", "--console-socket", listener.path,
                         container.name, "sh", "-c", "tty; sleep 100"), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20, check=False)
        equal(done.returncode, 0, done.stderr)
        master = listener.descriptor()
        expect(os.isatty(master) and os.read(master, 100).startswith(b"/dev/pts/"), "no terminal")
        os.close(master)
    with background(work) as container:
        command = " ".join(work.command("exec", "-t", container.name, "sh", "-c",
                                        "'tty; stty size'"))
        done = subprocess.run(["script", "-qefc", f"stty rows 21 cols 83; {command}", "/dev/null"],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20,
                              check=False)
        expect("/dev/pts/" in done.stdout and "21 83" in done.stdout, done)


# --- log ---------------------------------------------------------------------------------------------


@suite.test
def an_error_is_exactly_one_object_in_the_log(work):
    cases = {
        ("/no/such",): "no such file or directory", ("no-such",): "executable file not found in",
        ("/etc/passwd",): "permission denied"}
    for args, words in cases.items():
        log = work.directory / f"log{next(work.numbers)}"
        done = work.call("--log", log, "--log-format", "json", "run", "--bundle",
                         work.bundle(default_config(args)), work.new_id())
        entry = json.loads(log.read_text())
        equal(entry["level"], "error")
        expect(words in entry["msg"] and args[0] in entry["msg"], entry["msg"])
        expect("T" in entry["time"], entry["time"])
        equal(done.returncode, 1)
        expect(words in done.stderr, f"standard error: {done.stderr}")
    log = work.directory / "log-text"
    work.call("--log", log, "state", "no-such-id")
    expect("level=error" in log.read_text() and "does not exist" in log.read_text(),
           log.read_text())
    log = work.directory / "log-good"
    done = work.call("--log", log, "--log-format", "json", "run", "--bundle",
                     work.bundle(default_config()), work.new_id())
    equal((done.returncode, done.stderr), (0, ""))
    expect(not log.exists() or log.read_text() == "", "a success was logged")


# --- namespaces that exist already -----------------------------------------------------------------------


@suite.test
def a_second_container_joins_the_namespaces_of_the_first(work):
    with background(work) as first:
        pid = first.state()["pid"]
        kinds = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts"}
        for joined in [(kind,) for kind in kinds] + [tuple(kinds)]:
            config = default_config(["sleep", "100"], hostname=None)
            if "uts" in joined:
                config.pop("hostname")
            config["linux"]["namespaces"] = [
                {"type": n["type"], "path": f"/proc/{pid}/ns/{kinds[n['type']]}"}
                if n["type"] in joined else n for n in config["linux"]["namespaces"]]
            if config.get("hostname", "") is None:
                config.pop("hostname")
            with background(work, config) as second:
                other = second.state()["pid"]
                for kind, file in kinds.items():
                    same = os.readlink(f"/proc/{pid}/ns/{file}") == os.readlink(
                        f"/proc/{other}/ns/{file}")
                    equal(same, kind in joined, f"{kind} when {joined} are joined")
                if "pid" in joined:
                    expect("sleep" in first.exec("ps").stdout, "ps in the first")
                equal(second.exec("true").returncode, 0, "exec in the second")
            equal(first.state()["status"], "running", "the first, after the second is gone")


def with_user_namespace(config, host=700000, size=65536):
    config["linux"]["namespaces"].append({"type": "user"})
    for kind in ("uidMappings", "gidMappings"):
        config["linux"][kind] = [{"containerID": 0, "hostID": host, "size": size}]
    return config


@suite.test
def a_user_namespace_is_made_and_joined(work):
    with background(work, with_user_namespace(default_config(["sleep", "100"]))) as first:
        pid = first.state()["pid"]
        equal(pathlib.Path(f"/proc/{pid}/uid_map").read_text().split(), ["0", "700000", "65536"])
        equal(os.stat(f"/proc/{pid}").st_uid, 700000, "owner of the process")
        config = default_config(["sleep", "100"])
        files = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": None,
                 "cgroup": None}
        config.pop("hostname")
        config["linux"]["namespaces"] = [
            {"type": kind, "path": f"/proc/{pid}/ns/{file}"} if file else {"type": kind}
            for kind, file in files.items()]
        config["linux"]["namespaces"].append({"type": "user", "path": f"/proc/{pid}/ns/user"})
        with background(work, config) as second:
            other = second.state()["pid"]
            equal(os.readlink(f"/proc/{pid}/ns/user"), os.readlink(f"/proc/{other}/ns/user"))
            equal(second.exec("id", "-u").stdout.strip(), "0")


@suite.test
def a_path_that_is_no_such_namespace_is_refused(work):
    traces = Traces(f"test-{os.getpid()}-")
    for path, word in (("/no/such", "/no/such"), ("/etc/passwd", "/etc/passwd"),
                       (f"/proc/{os.getpid()}/ns/net", "/ns/net")):
        config = default_config()
        for namespace in config["linux"]["namespaces"]:
            if namespace["type"] == "ipc":
                namespace["path"] = path
        done = work.run(config)
        expect(done.returncode == 1 and word in done.stderr, f"{path}: {done}")
    nothing_left(traces)


# --- without root ------------------------------------------------------------------------------------


def unprivileged(command, work, **more):
    return subprocess.run(
        ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", *command],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
        cwd=str(work.directory), env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, **more)


@suite.test
def an_unprivileged_user_runs_a_container(work):
    bundle = work.directory / f"rootless{next(work.numbers)}"
    bundle.mkdir()
    state = bundle / "state"
    # The program itself must be readable, too: the build may lie where only root may look.
    runtime = bundle / "runtime"
    shutil.copy(work.runtime, runtime)
    subprocess.run(["cp", "-a", str(work.rootfs), str(bundle / "rootfs")], check=True)
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(bundle)], check=True)
    def call(*arguments):
        return unprivileged([str(runtime), "--root", str(state), *arguments], work)
    done = call("spec", "--rootless", "--bundle", str(bundle))
    equal(done.returncode, 0, done.stderr)
    config = json.loads((bundle / "config.json").read_text())
    config["root"]["readonly"] = False
    config["process"].update(terminal=False, args=["sh", "-c", "id -u; cat /proc/self/uid_map; "
                                                   "touch /made && hostname"])
    (bundle / "config.json").write_text(json.dumps(config))
    traces = Traces(f"rootless-{os.getpid()}")
    done = call("run", "--bundle", str(bundle), f"rootless-{os.getpid()}")
    equal(done.returncode, 0, done.stderr)
    equal(done.stdout.split()[:4], ["0", "0", str(NOBODY), "1"], "ids inside")
    equal(os.stat(bundle / "rootfs/made").st_uid, NOBODY, "owner of what it made")
    nothing_left(traces)
    # The life cycle in steps, and exec.
    config["process"]["args"] = ["sleep", "100"]
    (bundle / "config.json").write_text(json.dumps(config))
    name = f"rootless-{os.getpid()}-steps"
    try:
        made = subprocess.run(
            ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
             str(runtime), "--root", str(state), "create", "--bundle", str(bundle), name],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=60, check=False)
        equal(made.returncode, 0, "create")
        for step in (("start", name), ("state", name), ("exec", name, "true"),
                     ("kill", name, "KILL")):
            done = call(*step)
            equal(done.returncode, 0, f"{step}: {done.stderr}")
    finally:
        equal(call("delete", "--force", name).returncode, 0, "delete")
    nothing_left(traces)


@suite.test
def an_unprivileged_user_is_refused_what_needs_root(work):
    state = work.directory / "state-of-nobody"
    state.mkdir()
    os.chown(state, NOBODY, NOBODY)
    runtime = work.directory / "runtime-for-nobody"
    shutil.copy(work.runtime, runtime)
    os.chmod(runtime, 0o755)
    bundle = work.bundle(default_config())
    traces = Traces("refused-")
    done = unprivileged([str(runtime), "--root", str(state), "run", "--bundle", str(bundle),
                         f"refused-{os.getpid()}"], work)
    expect(done.returncode == 1 and done.stderr.strip(), done)
    expect(any(words in done.stderr for words in ("user namespace", "ermission denied",
                                                  "not permitted")), done.stderr)
    equal(os.listdir(state), [], "the state root")
    nothing_left(traces)


# --- many ---------------------------------------------------------------------------------------------


@suite.test
def a_hundred_starts_at_once_all_succeed(work):
    traces = Traces(f"test-{os.getpid()}-")
    bundle = work.bundle(default_config(["sh", "-c", "echo started"]))
    def one(_):
        return work.call("run", "--bundle", bundle, work.new_id(), timeout=120)
    for _ in range(3 if FULL else 1):
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            results = list(pool.map(one, range(100)))
        bad = [result for result in results
               if (result.returncode, result.stdout) != (0, "started\n")]
        expect(not bad, f"{len(bad)} failed, the first: {bad[:1]}")
    nothing_left(traces)


@suite.test
def of_two_creates_of_one_id_one_succeeds(work):
    bundle = work.bundle(default_config(["sleep", "100"]))
    for _ in range(10):
        name = work.new_id()
        traces = Traces(name)
        both = [subprocess.Popen(work.command("create", "--bundle", bundle, name),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL) for _ in range(4)]
        equal(sorted(process.wait(30) for process in both), [0, 1, 1, 1], "exit codes")
        equal(json.loads(work.call("state", name).stdout)["status"], "created")
        equal(work.call("delete", "--force", name).returncode, 0)
        nothing_left(traces)


def main():
    if os.geteuid() != 0:
        print("SKIP runtime — needs root")
        return 0
    with Workshop() as work:
        os.chmod(work.directory, 0o755)
        return suite.main(work)


if __name__ == "__main__":
    sys.exit(main())
