#!/usr/bin/env python3
"""The runtime's life-cycle commands as engines call them."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from runtime_support import Container, WAIT, background, group_file, main, nothing_left
from support.bundles import Traces, default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("runtime")


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
        deadline = time.monotonic() + 60
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
    deadline = time.monotonic() + 60
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


def ignoring(*numbers):
    """What nohup(1) and a shell's background jobs do to their children."""
    def change():
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
    return change


@suite.test
def ignored_signals_are_not_handed_on(work):
    ignore = ignoring(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM)
    show = ["sh", "-c", "grep SigIgn /proc/self/status; " + " ".join(WAIT[2:])]
    for command in ("create", "run"):
        with Container(work, default_config(show), command=command,
                       preexec_fn=ignore) as container:
            if command == "create":
                container.good("start")
            container.wait_for_text("SigIgn")
            expect("SigIgn:\t0000000000000000" in container.text(), container.text())
            done = container.exec("grep", "SigIgn", "/proc/self/status", preexec_fn=ignore)
            equal(done.stdout.split(), ["SigIgn:", "0000000000000000"], "exec")


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
        done = container.exec("true", timeout=60)
        expect(done.returncode == 255 and "paused" in done.stderr, f"exec: {done}")
        size = len(container.text())
        container.good("resume")
        equal(container.state()["status"], "running")
        deadline = time.monotonic() + 60
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


if __name__ == "__main__":
    sys.exit(main(suite))
