#!/usr/bin/env python3
"""Debian's podman on the runtime under test, unchanged. BULKHEAD_RUNTIME names the runtime; the suite
also passes on crun and runc, which is how it is itself tested."""

import os
import pathlib
import socket
import subprocess
import sys
import time

from engine_support import (Skip, Suite, cgroup_value, deaf_until_ready, equal, eventually, expect,
                            go_apart, run_suite, status_of, wait_until_ready)
from podman_host import PodmanHost

suite = Suite("podman")


def pid_of(podman, name):
    return int(podman.run("inspect", "-f", "{{.State.Pid}}", name))


@suite.test
def run_prints_the_output_and_passes_the_exit_code_on(podman):
    equal(podman.run("run", "--rm", podman.image, "echo", "hello"), "hello", "output")
    equal(podman.call("run", "--rm", podman.image, "sh", "-c", "exit 7").returncode, 7, "exit code")


@suite.test
def run_of_a_missing_program_is_127_and_of_one_without_x_bit_126(podman):
    missing = podman.call("run", "--rm", podman.image, "/no/such/program")
    equal(missing.returncode, 127, missing.stderr)
    refused = podman.call("run", "--rm", podman.image, "/etc/passwd")
    equal(refused.returncode, 126, refused.stderr)


@suite.test
def run_takes_user_workdir_environment_and_hostname(podman):
    equal(podman.run("run", "--rm", "--user", "1234:5678", podman.image, "sh", "-c",
                     "echo $(id -u):$(id -g)"), "1234:5678", "ids")
    equal(podman.run("run", "--rm", "--workdir", "/tmp", podman.image, "pwd"), "/tmp", "directory")
    equal(podman.run("run", "--rm", "--env", "A=b c", podman.image, "sh", "-c", "echo $A"), "b c",
          "variable")
    equal(podman.run("run", "--rm", "--hostname", "lock", podman.image, "hostname"), "lock",
          "hostname")


@suite.test
def exec_joins_the_container(podman):
    with podman.container("--hostname", "inside") as name:
        equal(podman.run("exec", name, "hostname"), "inside", "hostname")
        equal(podman.run("exec", "--env", "A=1", "--user", "99", name, "sh", "-c", "echo $A $(id -u)"),
              "1 99", "exec's own environment and user")
        equal(podman.call("exec", name, "sh", "-c", "exit 9").returncode, 9, "exit code")
        for kind in ("net", "ipc", "uts", "mnt", "pid", "cgroup"):
            init = podman.run("exec", name, "readlink", f"/proc/1/ns/{kind}")
            equal(podman.run("exec", name, "readlink", f"/proc/self/ns/{kind}"), init, kind)


@suite.test
def exec_of_a_missing_program_is_127(podman):
    with podman.container() as name:
        done = podman.call("exec", name, "/no/such/program")
        equal(done.returncode, 127, done.stderr)


@suite.test
def exec_with_a_terminal_gets_one(podman):
    with podman.container() as name:
        script = f"{' '.join(podman.command('exec', '-t', name, 'tty'))}"
        done = subprocess.run(["script", "-qec", script, "/dev/null"], env=podman.environment,
                              capture_output=True, text=True, timeout=60, check=False)
        expect("/dev/pts/" in done.stdout, f"no terminal: {done.stdout!r} {done.stderr!r}")


@suite.test
def run_with_a_terminal_gets_one(podman):
    script = f"{' '.join(podman.command('run', '--rm', '-t', podman.image, 'tty'))}"
    done = subprocess.run(["script", "-qec", script, "/dev/null"], env=podman.environment,
                          capture_output=True, text=True, timeout=60, check=False)
    expect("/dev/pts/" in done.stdout or "/dev/console" in done.stdout,
           f"no terminal: {done.stdout!r} {done.stderr!r}")


@suite.test
def stop_ends_it_by_sigterm_and_kill_by_any_signal(podman):
    trap = deaf_until_ready("trap 'exit 42' TERM; while :; do sleep 0.1; done")
    with podman.container(command=trap) as name:
        wait_until_ready(pid_of(podman, name))
        podman.run("stop", "-t", "60", name)
        equal(podman.run("inspect", "-f", "{{.State.ExitCode}}", name), "42", "exit code")
    with podman.container() as name:
        podman.run("kill", "--signal", "KILL", name)
        podman.run("wait", name)
        equal(podman.run("inspect", "-f", "{{.State.ExitCode}}", name), "137", "exit code")


@suite.test
def logs_keep_both_streams(podman):
    with podman.container(command=("sh", "-c", "echo out; echo err >&2")) as name:
        podman.run("wait", name)
        done = podman.call("logs", name)
        expect("out" in done.stdout and "err" in done.stdout + done.stderr, f"{done}")


@suite.test
def top_lists_the_processes(podman):
    with podman.container() as name:
        expect("sleep 1000" in podman.run("top", name), "no sleep in top")


@suite.test
def pause_stops_the_clock_and_unpause_starts_it(podman):
    command = ("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > /n; sleep 0.01; done")
    with podman.container(command=command) as name:
        file = pathlib.Path(f"/proc/{pid_of(podman, name)}/root/n")
        expect(eventually(file.exists), "not started")
        podman.run("pause", name)
        equal(podman.run("inspect", "-f", "{{.State.Status}}", name), "paused", "status")
        before = file.read_text()
        time.sleep(0.3)
        equal(file.read_text(), before, "counter of a paused container")
        podman.run("unpause", name)
        expect(eventually(lambda: file.read_text() != before), "the counter stands after unpause")


@suite.test
def limits_reach_the_kernel(podman):
    with podman.container("--memory", "64m", "--pids-limit", "33", "--cpus", "1.5") as name:
        pid = pid_of(podman, name)
        equal(cgroup_value(pid, "memory", "memory.limit_in_bytes", "memory.max"),
              str(64 << 20), "memory")
        equal(cgroup_value(pid, "pids", "pids.max", "pids.max"), "33", "pids")
        quota = cgroup_value(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0]
        equal(quota, "150000", "cpu quota")


@suite.test
def a_memory_limit_kills(podman):
    done = podman.call("run", "--rm", "--memory", "16m", podman.image, "sh", "-c",
                       "x=a; while :; do x=$x$x; done")
    equal(done.returncode, 137, done.stderr)


@suite.test
def a_container_in_a_user_namespace_is_not_root_outside(podman):
    with podman.container("--uidmap", "0:700000:65536", "--gidmap", "0:700000:65536") as name:
        equal(podman.run("exec", name, "id", "-u"), "0", "uid inside")
        equal(status_of(pid_of(podman, name))["Uid"].split()[0], "700000", "uid outside")


@suite.test
def a_read_only_root_cannot_be_written(podman):
    done = podman.call("run", "--rm", "--read-only", podman.image, "touch", "/etc/x")
    expect(done.returncode != 0 and "Read-only" in done.stderr, done.stderr)
    podman.run("run", "--rm", podman.image, "touch", "/etc/x")


@suite.test
def capabilities_and_no_new_privileges_reach_the_kernel(podman):
    with podman.container("--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--security-opt",
                          "no-new-privileges") as name:
        status = status_of(pid_of(podman, name))
        equal(int(status["CapEff"], 16), 1 << 10, "effective capabilities")
        equal(int(status["CapBnd"], 16), 1 << 10, "bounding set")
        equal(status["NoNewPrivs"], "1", "no new privileges")
        equal(status["Seccomp"], "2", "seccomp mode")


@suite.test
def a_published_port_is_reached_on_loopback(podman):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = "while :; do echo hello | nc -l -p 80; done"
    try:
        with podman.container("-p", f"127.0.0.1:{port}:80", command=("sh", "-c", server)):
            def answers():
                try:
                    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                        return connection.recv(16) == b"hello\n"
                except OSError:
                    return False
            expect(eventually(answers), "no answer on the published port")
    except AssertionError as error:
        if "iptables" in str(error) or "netavark" in str(error):
            raise Skip(f"podman cannot make its bridge network here: {str(error)[-200:]}") from error
        raise


@suite.test
def volumes_and_tmpfs_are_mounted(podman):
    directory = podman.directory / "volume"
    directory.mkdir()
    (directory / "file").write_text("shared")
    equal(podman.run("run", "--rm", "-v", f"{directory}:/data:ro", podman.image, "cat", "/data/file"),
          "shared", "volume")
    done = podman.call("run", "--rm", "-v", f"{directory}:/data:ro", podman.image, "touch", "/data/x")
    expect(done.returncode != 0, "a read-only volume was written")
    expect("tmpfs" in podman.run("run", "--rm", "--tmpfs", "/scratch:size=1m", podman.image, "sh", "-c",
                                 "grep ' /scratch ' /proc/mounts"), "no tmpfs")


@suite.test
def host_namespaces_are_shared_when_asked(podman):
    own = os.readlink("/proc/self/ns/net")
    equal(podman.run("run", "--rm", "--network", "host", podman.image, "readlink",
                     "/proc/self/ns/net"), own, "network namespace")
    expect(podman.run("run", "--rm", "--network", "none", podman.image, "readlink",
                      "/proc/self/ns/net") != own, "no network namespace of its own")


@suite.test
def privileged_and_an_init_work(podman):
    status = podman.run("run", "--rm", "--privileged", podman.image, "grep", "CapEff",
                        "/proc/self/status")
    expect(int(status.split()[1], 16) & (1 << 21), "privileged has no CAP_SYS_ADMIN")


@suite.test
def healthy_restart_and_removal(podman):
    with podman.container() as name:
        first = pid_of(podman, name)
        podman.run("restart", "-t", "0", name)
        expect(pid_of(podman, name) != first, "the same process after a restart")
    expect(name not in podman.run("ps", "-a", "--format", "{{.Names}}"), "still listed")


@suite.test
def update_changes_the_limits_of_a_running_container(podman):
    help_text = podman.call("update", "--help")
    if help_text.returncode != 0:
        raise Skip("this podman has no update command")
    with podman.container("--memory", "64m") as name:
        podman.run("update", "--memory", "96m", name)
        equal(cgroup_value(pid_of(podman, name), "memory", "memory.limit_in_bytes", "memory.max"),
              str(96 << 20), "memory")


@suite.test
def play_kube_runs_a_pod(podman):
    manifest = podman.directory / "pod.yaml"
    manifest.write_text(f"""
apiVersion: v1
kind: Pod
metadata:
  name: small
spec:
  containers:
  - name: one
    image: {podman.image}
    imagePullPolicy: Never
    command: ["sleep", "1000"]
  - name: two
    image: {podman.image}
    imagePullPolicy: Never
    command: ["sleep", "1000"]
""", encoding="utf-8")
    if not any(pathlib.Path(path).exists() for path in
               ("/usr/libexec/podman/catatonit", "/usr/bin/catatonit")):
        raise Skip("the pause process of a pod needs the package catatonit")
    done = podman.call("play", "kube", "--network", "none", str(manifest))
    try:
        equal(done.returncode, 0, done.stderr[-600:])
        spaces = {podman.run("exec", f"small-{name}", "readlink", "/proc/self/ns/ipc")
                  for name in ("one", "two")}
        equal(len(spaces), 1, "ipc namespaces of a pod")
    finally:
        podman.remove("pod", "small")


def groups_left(podman):
    """cgroups that name a container of this podman: all are gone at the end."""
    found = []
    for directory, _, _ in os.walk("/sys/fs/cgroup"):
        if "libpod-" in directory.rsplit("/", 1)[-1]:
            found.append(directory)
    return found


@suite.test
def nothing_is_left_behind(podman):
    podman.call("rm", "-a", "-f", "-t", "0")
    expect(eventually(lambda: not [path for path in groups_left(podman) if "conmon" not in path]),
           f"cgroups left: {groups_left(podman)[:5]}")


if __name__ == "__main__":
    go_apart()
    sys.exit(run_suite(suite, {"podman": "podman"}, PodmanHost))
