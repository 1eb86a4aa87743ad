#!/usr/bin/env python3
"""`delete --force` where something stands in its way, and many commands for one container at once."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import FULL, Traces, Workshop, default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("force")
CROWD = 50


def background(command):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def quiet(command):
    """The exit code of a command that may leave a container with our standard streams."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False, timeout=120).returncode


def nothing_left(work, traces, name):
    left = traces.leftovers()
    expect(not left, f"left behind: {left[:5]}")
    expect(not (work.state / name).exists(), "the state directory is still there")


def wait_for(path, process):
    deadline = time.monotonic() + 20
    while not path.exists():
        expect(process.poll() is None, f"ended too early: {process.returncode}")
        expect(time.monotonic() < deadline, f"{path} never came")
        time.sleep(0.01)


def hook_that_hangs(work, stage, marker):
    inside = stage == "startContainer"
    script = f"touch {'/marks/' + marker.name if inside else marker}; exec sleep 1000"
    path = "/bin/sh"
    return {stage: [{"path": path, "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}]}


@suite.test
def a_create_or_start_whose_hook_hangs_is_ended(work):
    marks = work.directory / "marks"
    marks.mkdir()
    for own_pid_namespace in (True, False):
        for stage in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart"):
            name = work.new_id()
            traces = Traces(name)
            marker = marks / f"{stage}-{own_pid_namespace}"
            config = default_config(["sleep", "1000"])
            config["mounts"].append({"destination": "/marks", "type": "bind", "source": str(marks),
                                     "options": ["bind", "rw"]})
            config["hooks"] = hook_that_hangs(work, stage, marker)
            if not own_pid_namespace:
                config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"]
                                                 if one["type"] != "pid"]
            bundle = work.bundle(config)
            command = background(work.command("create", "--bundle", bundle, name))
            if stage in ("startContainer", "poststart"):
                # `create` hands its standard error to the container: only its exit is waited for.
                equal(command.wait(timeout=30), 0, "create")
                command.stderr.close()
                command = background(work.command("start", name))
            wait_for(marker, command)
            begin = time.monotonic()
            done = work.call("delete", "--force", name, timeout=30)
            took = time.monotonic() - begin
            equal(done.returncode, 0, f"{stage}: {done.stderr}")
            expect(took < 5, f"{stage}: delete --force took {took:.1f} s")
            if stage == "poststart":
                # Its hook is the caller's, and the container was there to be deleted.
                command.kill()
            code = command.wait(timeout=60)
            expect(code != 0, f"{stage}: the command succeeded although its container was deleted")
            command.stderr.close()
            nothing_left(work, traces, name)
            equal(quiet(work.command("run", "--bundle",
                                     work.bundle(default_config(["true"])), name)), 0,
                  "the name is free again")


@suite.test
def a_create_that_was_killed_early_does_not_take_anothers_group_along(work):
    """Its record names the group that it wanted, which was another container's."""
    name = work.new_id()
    path = f"/shared-{name}"
    config = merge(default_config(["sleep", "1000"]), {"linux": {"cgroupsPath": path}})
    bundle = work.bundle(config)
    equal(quiet(work.command("run", "--detach", "--bundle", bundle, name)), 0, "run --detach")
    try:
        before = json.loads(work.call("state", name).stdout)
        record = json.loads((work.state / name / "state.json").read_text())
        # What a create leaves that is killed between its record and its look at the group.
        other = work.new_id()
        place = work.state / other
        place.mkdir(mode=0o700)
        record["id"] = other
        (place / "state.json").write_text(json.dumps(record))
        for words in (("delete", "--force"), ("delete",)):
            done = work.call(*words, other)
            if words == ("delete", "--force"):
                equal(done.returncode, 0, done.stderr)
            expect(not place.exists(), "the record is still there")
            equal(json.loads(work.call("state", name).stdout), before, "the other container")
            equal(work.call("exec", name, "cat", "/sys/fs/cgroup/pids/pids.max"
                            if os.path.exists("/sys/fs/cgroup/pids") else
                            "/sys/fs/cgroup/pids.max").stdout.strip(), "100", "its limit")
        # The control: the same record with the process in it makes the group this container's own.
        place.mkdir(mode=0o700)
        (place / "state.json").write_text(json.dumps(record))
        (place / "init").write_text((work.state / name / "init").read_text())
        equal(work.call("delete", "--force", other).returncode, 0)
        equal(json.loads(work.call("state", name).stdout)["status"], "stopped", "the control")
    finally:
        work.call("delete", "--force", name)


@suite.test
def of_many_at_once_for_one_id_exactly_one_wins(work):
    bundle = work.bundle(default_config(["sleep", "1000"]))
    for _ in range(10 if FULL else 2):
        name = work.new_id()
        traces = Traces(name)
        creates = [background(work.command("create", "--bundle", bundle, name)) for _ in range(CROWD)]
        codes = sorted(process.wait(timeout=120) for process in creates)
        for process in creates:
            process.stderr.close()
        equal(codes, [0] + [1] * (CROWD - 1), "exit codes of create")
        with concurrent.futures.ThreadPoolExecutor(CROWD) as pool:
            codes = sorted(pool.map(lambda _: quiet(work.command("start", name)), range(CROWD)))
            equal(codes, [0] + [1] * (CROWD - 1), "exit codes of start")
            done = list(pool.map(lambda _: work.call("exec", name, "echo", "in", timeout=120),
                                 range(CROWD)))
            bad = [one for one in done if (one.returncode, one.stdout) != (0, "in\n")]
            expect(not bad, f"{len(bad)} of {CROWD} execs failed: {bad[:1]}")
            work.call("kill", name, "KILL")
            deadline = time.monotonic() + 60
            while json.loads(work.call("state", name).stdout)["status"] != "stopped":
                expect(time.monotonic() < deadline, "it does not stop")
            codes = list(pool.map(lambda _: quiet(work.command("delete", name)), range(CROWD)))
            equal(sorted(codes), [0] + [1] * (CROWD - 1), "exit codes of delete")
        nothing_left(work, traces, name)


@suite.test
def creates_execs_and_deletes_of_one_id_leave_nothing(work):
    """Whoever comes first; at the end nothing is there."""
    bundle = work.bundle(default_config(["sleep", "1000"]))
    name = work.new_id()
    traces = Traces(name)
    def one(number):
        words = (("run", "--detach", "--bundle", bundle, name), ("exec", name, "true"),
                 ("delete", "--force", name), ("state", name), ("kill", name, "KILL"))[number % 5]
        return words[0], quiet(work.command(*words))
    with concurrent.futures.ThreadPoolExecutor(CROWD) as pool:
        results = list(pool.map(one, range(2000 if FULL else 250)))
    expect(all(code in (0, 1) for what, code in results if what != "exec"), f"{results}")
    expect(any(code == 0 for what, code in results if what == "run"), "no run succeeded")
    equal(quiet(work.command("delete", "--force", name)), 0)
    nothing_left(work, traces, name)


@suite.test
def lives_of_different_ids_at_once_do_not_meet(work):
    bundle = work.bundle(default_config(["sleep", "1000"]))
    traces = Traces(f"test-{os.getpid()}-")
    def life(number):
        name = work.new_id()
        codes = [quiet(work.command("create", "--bundle", bundle, name)),
                 quiet(work.command("start", name))]
        said = work.call("exec", name, "echo", str(number), timeout=120)
        codes += [said.returncode, quiet(work.command("delete", "--force", name))]
        return codes, said.stdout.strip() == str(number), said.stderr
    for _ in range(10 if FULL else 1):
        with concurrent.futures.ThreadPoolExecutor(CROWD) as pool:
            results = list(pool.map(life, range(CROWD)))
        bad = [one for one in results if one[:2] != ([0, 0, 0, 0], True)]
        expect(not bad, f"{len(bad)} of {CROWD} lives went wrong: {bad[:2]}")
    left = traces.leftovers()
    expect(not left, f"left behind: {left[:5]}")


def main():
    if os.geteuid() != 0:
        print("SKIP force — needs root")
        return 0
    with Workshop() as work:
        return suite.main(work)


if __name__ == "__main__":
    sys.exit(main())
