#!/usr/bin/env python3
"""Debian's containerd, driven by ctr, on the runtime under test. BULKHEAD_RUNTIME names the runtime; the
suite also passes on runc, which is how it is itself tested."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from containerd_host import ContainerdHost
from engine_support import (Suite, cgroup_value, equal, eventually, expect, namespace, run_suite,
                            status_of)

suite = Suite("containerd")


@suite.test
def run_prints_the_output_and_passes_the_exit_code_on(ctr):
    words = (ctr.image, "once", "sh", "-c", "echo out; echo err >&2; exit 7")
    for runtime in ((), ("--runtime", "io.containerd.runc.v2"), ("--runc-root", "/run/another")):
        done = ctr.once(*runtime, *words)
        equal((done.returncode, done.stdout, done.stderr), (7, "out\n", "err\n"), runtime)


@suite.test
def the_runtime_is_the_one_that_is_named(ctr):
    done = ctr.call("run", "--rm", "--runc-binary", "/no/such/runtime", ctr.image, "once", "true")
    expect(done.returncode != 0 and "/no/such/runtime" in done.stderr, done)
    ctr.remove("once")


@suite.test
def run_of_a_missing_program_is_an_error_and_leaves_no_task(ctr):
    done = ctr.once(ctr.image, "missing", "/no/such/program")
    expect(done.returncode == 1 and "no such file or directory" in done.stderr, done)
    expect("missing" not in ctr.tasks(), ctr.tasks())
    ctr.remove("missing")


@suite.test
def standard_input_reaches_the_program(ctr):
    # ctr itself never closes it, whatever the runtime.
    done = ctr.once(ctr.image, "once", "sh", "-c", "head -c 300000 | wc -c", input="x" * 300_000)
    equal(done.stdout.strip(), "300000", done.stderr)


@suite.test
def a_terminal_is_given(ctr):
    command = " ".join(ctr.command("run", "--rm", "--tty", *ctr.on_runtime(), ctr.image, "once", "tty"))
    done = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True,
                          timeout=60, check=False)
    expect("/dev/pts/0" in done.stdout, f"no terminal: {done.stdout!r} {done.stderr!r}")


@suite.test
def output_goes_to_a_log_file(ctr):
    log = ctr.directory / "output.log"
    with ctr.container("--log-uri", f"file://{log}", command=("sh", "-c", "echo out; echo err >&2")):
        expect(eventually(lambda: log.exists() and sorted(log.read_text().split()) == ["err", "out"]),
               log.read_text() if log.exists() else "no log")


@suite.test
def exec_joins_the_container(ctr):
    with ctr.container() as name:
        pid = ctr.pid(name)
        for kind in ("net", "ipc", "uts", "mnt", "pid"):
            equal(ctr.run("tasks", "exec", "--exec-id", kind, name, "readlink", f"/proc/self/ns/{kind}"),
                  namespace(pid, kind), kind)
        done = ctr.call("tasks", "exec", "--exec-id", "code", "--cwd", "/tmp", "--user", "99:88", name,
                        "sh", "-c", "echo $(id -u):$(id -g) $(pwd); exit 5")
        equal((done.returncode, done.stdout), (5, "99:88 /tmp\n"), done.stderr)
        done = ctr.call("tasks", "exec", "--exec-id", "input", name, "head", "-c", "7", input="through")
        equal(done.stdout, "through", done.stderr)
        missing = ctr.call("tasks", "exec", "--exec-id", "missing", name, "/no/such/program")
        expect(missing.returncode != 0 and "no such file or directory" in missing.stderr, missing)
        expect(str(pid) in ctr.run("tasks", "ps", name).split(), "the container's process is not listed")


@suite.test
def exec_can_be_detached_and_have_a_terminal(ctr):
    with ctr.container() as name:
        file = pathlib.Path(f"/proc/{ctr.pid(name)}/root/tmp/file")
        ctr.run("tasks", "exec", "--detach", "--exec-id", "a", name, "sh", "-c",
                "echo done > /tmp/file; sleep 9")
        expect(eventually(lambda: file.exists() and file.read_text() == "done\n"), "no detached exec")
        expect(len(ctr.run("tasks", "ps", name).splitlines()) > 2, "ps does not list the second process")
        ctr.run("tasks", "kill", "--exec-id", "a", "--signal", "KILL", name)
        command = " ".join(ctr.command("tasks", "exec", "--tty", "--exec-id", "b", name, "tty"))
        done = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True,
                              timeout=60, check=False)
        expect("/dev/pts/" in done.stdout, f"no terminal: {done.stdout!r} {done.stderr!r}")


@suite.test
def pause_stops_the_clock_and_resume_starts_it(ctr):
    script = "i=0; while :; do i=$((i+1)); echo $i > /n; sleep 0.01; done"
    with ctr.container(command=("sh", "-c", script)) as name:
        file = pathlib.Path(f"/proc/{ctr.pid(name)}/root/n")
        expect(eventually(file.exists), "not started")
        ctr.run("tasks", "pause", name)
        equal(ctr.status(name), "PAUSED", "status")
        before = file.read_text()
        time.sleep(0.3)
        equal(file.read_text(), before, "counter of a paused container")
        ctr.run("tasks", "resume", name)
        equal(ctr.status(name), "RUNNING", "status")
        expect(eventually(lambda: file.read_text() != before), "the counter stands after resume")


@suite.test
def kill_sends_any_signal_and_delete_takes_it_away(ctr):
    script = "trap 'exit 42' USR1; trap '' TERM; touch /ready; while :; do sleep 0.1; done"
    with ctr.container(command=("sh", "-c", script)) as name:
        ready = pathlib.Path(f"/proc/{ctr.pid(name)}/root/ready")
        expect(eventually(ready.exists), "not ready")
        ctr.run("tasks", "kill", name)
        time.sleep(0.3)
        equal(ctr.status(name), "RUNNING", "status of a program that is deaf to SIGTERM")
        ctr.run("tasks", "kill", "--signal", "USR1", name)
        expect(eventually(lambda: ctr.status(name) == "STOPPED"), ctr.tasks())
        again = ctr.call("tasks", "kill", name)
        expect(again.returncode != 0 and "not found" in again.stderr, again)
        gone = ctr.call("tasks", "delete", name)
        expect("exit code 42" in gone.stderr, gone)
        expect(name not in ctr.tasks(), ctr.tasks())


@suite.test
def delete_refuses_what_runs_and_force_kills_it(ctr):
    with ctr.container() as name:
        pid = ctr.pid(name)
        refused = ctr.call("tasks", "delete", name)
        expect(refused.returncode != 0 and pathlib.Path(f"/proc/{pid}").exists(), refused)
        ctr.run("tasks", "delete", "--force", name)
        expect(eventually(lambda: not pathlib.Path(f"/proc/{pid}").exists()), "it lives on")


@suite.test
def a_container_is_started_again(ctr):
    with ctr.container("--runtime", "io.containerd.runc.v2", name="again") as name:
        first = ctr.pid(name)
        ctr.run("tasks", "delete", "--force", name)
        ctr.run("tasks", "start", "--detach", name)
        equal(ctr.status(name), "RUNNING", "status after a second start")
        expect(ctr.pid(name) != first, "the same process")


@suite.test
def limits_reach_the_kernel_and_metrics_come_from_it(ctr):
    with ctr.container("--memory-limit", str(64 << 20), "--cpus", "0.5", "--cpu-shares", "300") as name:
        pid = ctr.pid(name)
        equal(cgroup_value(pid, "memory", "memory.limit_in_bytes", "memory.max"), str(64 << 20), "memory")
        equal(cgroup_value(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "50000", "quota")
        metrics = json.loads(ctr.run("tasks", "metrics", "--format", "json", name))
        text = json.dumps(metrics)
        expect(str(64 << 20) in text, f"the limit is not in the metrics: {text[:300]}")


@suite.test
def security_options_reach_the_kernel(ctr):
    with ctr.container() as name:
        status = status_of(ctr.pid(name))
        equal(status["NoNewPrivs"], "1", "no new privileges")
        equal(status["Seccomp"], "0", "seccomp, which ctr leaves off")
        equal(int(status["CapEff"], 16), 0xa80425fb, "containerd's default capabilities")
    with ctr.container("--seccomp", "--allow-new-privs", "--cap-drop", "CAP_CHOWN") as name:
        status = status_of(ctr.pid(name))
        equal(status["NoNewPrivs"], "0", "no new privileges")
        equal(status["Seccomp"], "2", "seccomp")
        equal(int(status["CapEff"], 16), 0xa80425fa, "capabilities")
    done = ctr.once("--read-only", ctr.image, "once", "touch", "/x")
    expect("Read-only" in done.stderr, done)


@suite.test
def a_user_namespace_maps_root(ctr):
    maps = ("--uidmap", "0:700000:65536", "--gidmap", "0:700000:65536")
    with ctr.container(*maps) as name:
        pid = ctr.pid(name)
        equal(status_of(pid)["Uid"].split()[0], "700000", "uid outside")
        equal(ctr.run("tasks", "exec", "--exec-id", "x", name, "id", "-u"), "0", "uid inside")


@suite.test
def namespaces_and_mounts_are_given(ctr):
    with ctr.container(name="first") as name:
        pid = ctr.pid(name)
        with ctr.container("--with-ns", f"network:/proc/{pid}/ns/net", "--with-ns",
                           f"pid:/proc/{pid}/ns/pid", name="second") as other:
            for kind in ("net", "pid"):
                equal(namespace(ctr.pid(other), kind), namespace(pid, kind), kind)
    with ctr.container("--net-host") as name:
        equal(namespace(ctr.pid(name), "net"), namespace(ctr.enclosure.holder.pid, "net"), "network")
    source = ctr.directory / "source"
    source.mkdir()
    (source / "file").write_text("shared", encoding="utf-8")
    mount = f"type=bind,src={source},dst=/data,options=rbind:ro"
    done = ctr.once("--mount", mount, ctr.image, "once", "sh", "-c", "cat /data/file; touch /data/x")
    expect(done.stdout == "shared" and "Read-only" in done.stderr, done)


@suite.test
def a_container_of_a_bare_root_directory_runs(ctr):
    root = ctr.enclosure.data / "rootfs"
    equal(ctr.enclosure.call("mkdir", root).returncode, 0, "mkdir")
    ctr.run("images", "mount", ctr.image, root)
    try:
        done = ctr.once("--rootfs", root, "bare", "/bin/echo", "bare")
        equal(done.stdout, "bare\n", done.stderr)
    finally:
        ctr.run("images", "unmount", root)


@suite.test
def the_end_of_the_first_process_is_noticed(ctr):
    with ctr.container() as name:
        os.kill(ctr.pid(name), signal.SIGKILL)
        expect(eventually(lambda: ctr.status(name) == "STOPPED"), ctr.tasks())


def state_files(ctr):
    return ctr.enclosure.call("find", ctr.runc_root, "-mindepth", "2").stdout.split()


@suite.test
def nothing_is_left_behind(ctr):
    with ctr.container():
        expect(len(ctr.enclosure.groups()) > 1, "the groups of a live container are not seen")
        expect(state_files(ctr), "its state is not seen")
    ctr.remove_all()
    groups = [group for group in ctr.enclosure.groups()
              if pathlib.Path(group).name != ctr.enclosure.name]
    equal(groups, [], "cgroups left")
    equal(state_files(ctr), [], "state of the runtime")
    shims = [pid for pid in ctr.enclosure.processes() if "shim" in
             pathlib.Path(f"/proc/{pid}/comm").read_text()]
    equal(shims, [], "shims left")


if __name__ == "__main__":
    sys.exit(run_suite(suite, {"containerd": "containerd", "ctr": "containerd"}, ContainerdHost))
