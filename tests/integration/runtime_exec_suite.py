#!/usr/bin/env python3
"""exec, the log, namespaces that are joined, rootless containers, and many starts at once."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from runtime_support import Listener, NOBODY, background, main, nothing_left
from support.bundles import FULL, Traces, default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("runtime")


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


def groups_of(pid):
    """By controllers, as /proc/PID/cgroup has them; "" for v2."""
    lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines}


@suite.test
def exec_joins_sub_groups(work):
    """In every hierarchy of the host, whichever version it has."""
    with background(work) as container:
        record = json.loads((work.state / container.name / "state.json").read_text())
        own = dict(entry.split(":/", 1) for entry in record["cgroups"])
        for controllers, directory in own.items():
            inner = pathlib.Path("/", directory, "inner")
            inner.mkdir()
            if "cpuset" in controllers.split(","):
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (inner / file).write_text((inner.parent / file).read_text())
        expected = groups_of(container.state()["pid"])
        pid_file = work.directory / "sub-group-pid"
        def joined(*options):
            done = subprocess.run(
                work.command("exec", "--detach", "--pid-file", pid_file, *options, container.name,
                             "sleep", "100"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, timeout=60, check=False)
            equal(done.returncode, 0, f"{options}")
            return groups_of(int(pid_file.read_text()))
        equal(joined(), expected, "without a sub-group")
        equal(joined("--cgroup", "inner"),
              {name: path + "/inner" if name in own else path for name, path in expected.items()},
              "in all hierarchies")
        first = [name for name in own if name][:2]
        if first:
            options = [f"--cgroup={name}:inner" for name in first]
            equal(joined(*options), {name: path + "/inner" if name in first else path
                                     for name, path in expected.items()}, "in two of them")
        for options, words in (
                (("--cgroup", "absent"), "No such file"), (("--cgroup", "../x"), "leads out"),
                (("--cgroup", "unknown:inner"), '"unknown"'), (("--cgroup", ":inner"), "colon"),
                (("--cgroup", "inner", "--cgroup", "other"), "all controllers")):
            done = container.exec("true", options=options)
            expect(done.returncode == 255 and words in done.stderr, f"{options}: {done}")


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
        deadline = time.monotonic() + 60
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


if __name__ == "__main__":
    sys.exit(main(suite))
