#!/usr/bin/env python3
"""Debian's dockerd on the runtime under test, unchanged: what its users do every day. BULKHEAD_RUNTIME
names the runtime; the suite also passes on runc, which is how it is itself tested."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from docker_host import DockerHost
from engine_support import (ON, Skip, Suite, cgroup_value, deaf_until_ready, equal, eventually, expect,
                            namespace, root_lacks_a_capability, run_suite, wait_until_ready)

suite = Suite("docker")


@suite.test
def the_daemon_lists_the_runtime(docker):
    runtimes = json.loads(docker.run("info", "--format", "{{json .Runtimes}}"))
    expect(docker.runtime in runtimes, runtimes)


@suite.test
def run_prints_the_output_and_passes_the_exit_code_on(docker):
    equal(docker.says(docker.image, "echo", "hello"), "hello", "output")
    equal(docker.once(docker.image, "sh", "-c", "exit 7").returncode, 7, "exit code")


@suite.test
def run_of_a_missing_program_is_127_and_of_one_without_x_bit_126(docker):
    missing = docker.once(docker.image, "/no/such/program")
    equal(missing.returncode, 127, missing.stderr)
    expect("no such file or directory" in missing.stderr, missing.stderr)
    refused = docker.once(docker.image, "/etc/passwd")
    equal(refused.returncode, 126, refused.stderr)
    expect("permission denied" in refused.stderr, refused.stderr)


@suite.test
def run_takes_user_workdir_environment_hostname_and_groups(docker):
    equal(docker.says("--user", "1234:5678", "--group-add", "77", docker.image, "sh", "-c",
                      "echo $(id -u):$(id -g):$(id -G)"), "1234:5678:5678 77", "ids")
    equal(docker.says("--workdir", "/tmp/made/here", docker.image, "pwd"), "/tmp/made/here", "directory")
    equal(docker.says("--env", "A=b c", docker.image, "sh", "-c", "echo $A"), "b c", "variable")
    equal(docker.says("--hostname", "lock", "--domainname", "example", docker.image, "hostname", "-f"),
          "lock.example", "hostname")


@suite.test
def standard_input_reaches_the_program(docker):
    done = docker.once("-i", docker.image, "sh", "-c", "wc -c", input="x" * 300_000)
    equal(done.stdout.strip(), "300000", done.stderr)


@suite.test
def a_terminal_is_given_and_resized(docker):
    command = " ".join(docker.command("run", "--rm", "-it", *docker.on_runtime(), docker.image, "sh", "-c",
                                      "'tty; sleep 0.5; stty size'"))
    done = subprocess.run(["script", "-qec", f"stty rows 33 cols 111; {command}", "/dev/null"],
                          capture_output=True, text=True, timeout=60, check=False)
    expect("/dev/pts/0" in done.stdout and "33 111" in done.stdout, f"{done.stdout!r} {done.stderr!r}")


@suite.test
def exec_joins_the_container(docker):
    with docker.container("--hostname", "inside") as name:
        equal(docker.run("exec", name, "hostname"), "inside", "hostname")
        equal(docker.run("exec", "--env", "A=1", "--user", "99", "--workdir", "/tmp", name, "sh", "-c",
                         "echo $A $(id -u) $(pwd)"), "1 99 /tmp", "exec's own environment and user")
        equal(docker.call("exec", name, "sh", "-c", "exit 9").returncode, 9, "exit code")
        equal(docker.call("exec", "-i", name, "cat", input="through").stdout, "through", "input")
        for kind in ("net", "ipc", "uts", "mnt", "pid", "cgroup"):
            equal(docker.run("exec", name, "readlink", f"/proc/self/ns/{kind}"),
                  namespace(docker.pid(name), kind), kind)


@suite.test
def exec_of_a_missing_program_fails_with_dockers_code(docker):
    with docker.container() as name:
        missing = docker.call("exec", name, "/no/such/program")
        # For docker run it is 127; every exec that a runtime refuses is 126 to this docker.
        equal(missing.returncode, 126, missing)
        expect("no such file or directory" in missing.stdout + missing.stderr, missing)
        equal(docker.call("exec", name, "/etc/passwd").returncode, 126, "file without x bit")
        equal(docker.run("exec", name, "echo", "alive"), "alive", "the container afterwards")


@suite.test
def exec_can_be_detached_and_have_a_terminal(docker):
    with docker.container() as name:
        docker.run("exec", "-d", name, "sh", "-c", "echo done > /tmp/file")
        file = docker.root(name) / "tmp/file"
        expect(eventually(lambda: file.exists() and file.read_text() == "done\n"), "no detached exec")
        command = " ".join(docker.command("exec", "-it", name, "tty"))
        done = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True,
                              timeout=60, check=False)
        expect("/dev/pts/" in done.stdout, f"no terminal: {done.stdout!r} {done.stderr!r}")


@suite.test
def exec_can_be_privileged(docker):
    with docker.container() as name:
        done = docker.call("exec", "--privileged", name, "grep", "CapEff", "/proc/self/status")
        if ON and root_lacks_a_capability() and "unable to apply caps" in done.stdout:
            raise Skip(f"root lacks a capability here, and then it is refused{ON}")
        expect(int(done.stdout.split()[1], 16) & (1 << 21), f"no CAP_SYS_ADMIN: {done}")
        plain = docker.run("exec", name, "grep", "CapEff", "/proc/self/status")
        expect(not int(plain.split()[1], 16) & (1 << 21), "CAP_SYS_ADMIN in a plain exec")


@suite.test
def stop_ends_it_by_its_signal_and_then_by_sigkill(docker):
    loop = "while :; do sleep 0.1; done"
    with docker.container(command=deaf_until_ready(f"trap 'exit 42' TERM; {loop}")) as name:
        wait_until_ready(docker.pid(name))
        docker.run("stop", "-t", "50", name)
        equal(docker.inspect(name, ".State.ExitCode"), "42", "exit code")
    own = deaf_until_ready(f"trap 'exit 42' USR1; {loop}")
    with docker.container("--stop-signal", "USR1", command=own) as name:
        wait_until_ready(docker.pid(name))
        docker.run("stop", "-t", "50", name)
        equal(docker.inspect(name, ".State.ExitCode"), "42", "exit code by its own signal")
    with docker.container(command=deaf_until_ready(f"trap '' TERM; {loop}")) as name:
        wait_until_ready(docker.pid(name))
        docker.run("stop", "-t", "1", name)
        equal(docker.inspect(name, ".State.ExitCode"), "137", "exit code of a deaf program")


@suite.test
def kill_sends_any_signal(docker):
    script = "trap 'echo hup' HUP; echo ready; while :; do sleep 0.1; done"
    with docker.container(command=("sh", "-c", script)) as name:
        expect(eventually(lambda: "ready" in docker.run("logs", name)), "not ready")
        docker.run("kill", "--signal", "HUP", name)
        expect(eventually(lambda: "hup" in docker.run("logs", name)), "no SIGHUP")
        docker.run("kill", name)
        docker.run("wait", name)
        equal(docker.inspect(name, ".State.ExitCode"), "137", "exit code")
        again = docker.call("kill", name)
        expect(again.returncode != 0 and "is not running" in again.stderr, again)


@suite.test
def logs_keep_both_streams_and_follow(docker):
    with docker.container(command=("sh", "-c", "echo out; echo err >&2; sleep 1; echo late")) as name:
        followed = docker.call("logs", "--follow", name)
        equal(followed.stdout, "out\nlate\n", "standard output")
        equal(followed.stderr, "err\n", "standard error")
        equal(docker.run("logs", "--tail", "1", name), "late", "tail")


@suite.test
def top_lists_the_processes_and_stats_their_use(docker):
    work = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); while :; do sleep 1000; done"
    with docker.container(command=("sh", "-c", work)) as name:
        expect(eventually(lambda: "sleep 1000" in docker.run("top", name)), "no sleep in top")
        line = json.loads(docker.run("stats", "--no-stream", "--format", "{{json .}}", name))
        equal(line["PIDs"], "2", "processes")
        used = line["MemUsage"].split(" / ")[0]
        expect(used.endswith("MiB") and float(used[:-3]) > 19, f"memory of 20 MB: {used}")


@suite.test
def pause_stops_the_clock_and_unpause_starts_it(docker):
    script = "i=0; while :; do i=$((i+1)); echo $i > /n; sleep 0.01; done"
    with docker.container(command=("sh", "-c", script)) as name:
        file = docker.root(name) / "n"
        expect(eventually(file.exists), "not started")
        docker.run("pause", name)
        equal(docker.inspect(name, ".State.Status"), "paused", "status")
        before = file.read_text()
        time.sleep(0.3)
        equal(file.read_text(), before, "counter of a paused container")
        docker.run("unpause", name)
        expect(eventually(lambda: file.read_text() != before), "the counter stands after unpause")
        docker.run("pause", name)
        docker.run("rm", "-f", name)


@suite.test
def update_changes_the_limits_of_a_running_container(docker):
    with docker.container("--memory", "64m", "--memory-swap", "128m") as name:
        pid = docker.pid(name)
        docker.run("update", "--memory", "96m", "--memory-swap", "192m", "--cpus", "0.5",
                   "--pids-limit", "44", "--cpuset-cpus", "0", name)
        equal(cgroup_value(pid, "memory", "memory.limit_in_bytes", "memory.max"), str(96 << 20), "memory")
        equal(cgroup_value(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "50000", "quota")
        equal(cgroup_value(pid, "pids", "pids.max", "pids.max"), "44", "pids")
        equal(cgroup_value(pid, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0", "processors")


@suite.test
def a_health_check_is_run_and_decides(docker):
    every = ("--health-interval", "300ms", "--health-retries", "1", "--health-timeout", "5s")
    with docker.container("--health-cmd", "test -e /healthy", *every) as name:
        expect(eventually(lambda: docker.inspect(name, ".State.Health.Status") == "unhealthy"),
               docker.inspect(name, "json .State.Health"))
        docker.run("exec", name, "touch", "/healthy")
        expect(eventually(lambda: docker.inspect(name, ".State.Health.Status") == "healthy"),
               docker.inspect(name, "json .State.Health"))


@suite.test
def a_restart_policy_starts_it_again(docker):
    with docker.container("--restart", "on-failure:2", command=("sh", "-c", "exit 3")) as name:
        expect(eventually(lambda: docker.inspect(name, ".RestartCount") == "2" and
                          docker.inspect(name, ".State.Status") == "exited"),
               docker.inspect(name, "json .State"))
        equal(docker.inspect(name, ".State.ExitCode"), "3", "exit code")
    with docker.container("--restart", "always") as name:
        first = docker.pid(name)
        os.kill(first, signal.SIGKILL)
        expect(eventually(lambda: docker.pid(name) not in (0, first)), "not started again")
        equal(docker.run("exec", name, "echo", "again"), "again", "exec after the restart")


@suite.test
def restart_start_and_rename_keep_the_container(docker):
    with docker.container(command=("sh", "-c", "echo x >> /count; sleep 1000")) as name:
        first = docker.pid(name)
        docker.run("restart", "-t", "0", name)
        expect(docker.pid(name) not in (0, first), "the same process after a restart")
        expect(eventually(lambda: docker.run("exec", name, "cat", "/count") == "x\nx"), "lost its files")
        docker.run("stop", "-t", "0", name)
        docker.run("start", name)
        docker.run("rename", name, "other")
        equal(docker.run("exec", "other", "hostname"), docker.inspect("other", ".Id")[:12], "hostname")
        docker.run("rename", "other", name)


@suite.test
def files_go_in_and_out_and_into_an_image(docker):
    source = docker.directory / "file"
    source.write_text("carried", encoding="utf-8")
    with docker.container() as name:
        docker.run("cp", source, f"{name}:/tmp/file")
        equal(docker.run("exec", name, "cat", "/tmp/file"), "carried", "copied in")
        docker.run("cp", f"{name}:/tmp/file", docker.directory / "back")
        equal((docker.directory / "back").read_text(), "carried", "copied out")
        expect("A /tmp/file" in docker.run("diff", name), "no diff")
        docker.run("commit", name, "changed")
    equal(docker.says("changed", "cat", "/tmp/file"), "carried", "committed image")


@suite.test
def a_container_waits_between_create_and_start(docker):
    docker.run("create", "--name", "waiting", *docker.on_runtime(), docker.image, "echo", "late")
    try:
        equal(docker.inspect("waiting", ".State.Status"), "created", "status")
        equal(docker.run("start", "-a", "waiting"), "late", "output")
    finally:
        docker.call("rm", "-f", "waiting")


@suite.test
def many_containers_start_at_once(docker):
    commands = [subprocess.Popen(docker.command("run", "--rm", *docker.on_runtime(), docker.image, "echo",
                                                str(number)), stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True) for number in range(8)]
    for number, command in enumerate(commands):
        output, error = command.communicate(timeout=60)
        equal(output.strip(), str(number), error)


@suite.test
def containers_outlive_their_daemon_with_live_restore(docker):
    with docker.container() as name:
        pid = docker.pid(name)
        docker.restart()
        equal(docker.pid(name), pid, "process after a restart of the daemon")
        equal(docker.run("exec", name, "echo", "alive"), "alive", "exec")
        docker.run("pause", name)
        docker.run("unpause", name)
        docker.run("stop", "-t", "0", name)
        equal(docker.inspect(name, ".State.ExitCode"), "137", "exit code")


def state_files(docker):
    return docker.enclosure.call("find", "/run/docker/runtime-runc", "-mindepth", "2").stdout.split()


@suite.test
def nothing_is_left_behind(docker):
    with docker.container():
        expect(len(docker.enclosure.groups()) > 1, "the groups of a live container are not seen")
        expect(docker.enclosure.mounts() - docker.mounts_before, "its mounts are not seen")
        expect(state_files(docker), "its state is not seen")
    docker.remove_all()
    expect(eventually(lambda: not [group for group in docker.enclosure.groups()
                                   if pathlib.Path(group).name != docker.enclosure.name]),
           f"cgroups left: {docker.enclosure.groups()[:5]}")
    equal(list(docker.enclosure.mounts() - docker.mounts_before), [], "mounts left")
    equal(state_files(docker), [], "state of the runtime")


def live_restoring_host():
    host = DockerHost(options=("--live-restore",))
    host.mounts_before = host.enclosure.mounts()
    return host


if __name__ == "__main__":
    sys.exit(run_suite(suite, {"dockerd": "docker.io", "containerd": "containerd"}, live_restoring_host))
