#!/usr/bin/env python3
"""Containers of other OCI runtimes: Debian's crun and runc, and Bulkhead's own by its command line."""

import json
import os
import pathlib
import pty
import shutil
import subprocess
import sys

from life_support import ENGINE_FAILURE, IDLE, container, nothing_left, popen, run_suite, until
from support.harness import Skip, Suite, equal, expect

suite = Suite("runtimes")


def unified_beside_v1():
    """Where the cgroup v2 hierarchy is mounted beside v1 ones: crun refuses such a host."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        if fields[fields.index("-") + 1] == "cgroup2" and fields[4] != "/sys/fs/cgroup":
            return fields[4]
    return None


def runtime(host, name):
    """The path of a program that does what `name` does on this host."""
    program = os.environ.get("BULKHEAD_RUNTIME") if name == "bulkhead-runtime" else shutil.which(
        name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not program:
        raise Skip(f"no {name}")
    hidden = unified_beside_v1()
    if name != "crun" or hidden is None:
        return program
    wrapper = host.work.directory / "crun"
    wrapper.write_text(f"#!/bin/sh\nexec unshare --mount sh -c 'umount {hidden} && exec {program} \"$@\"' "
                       'crun "$@"\n')
    wrapper.chmod(0o755)
    return str(wrapper)


def for_each(test):
    for name in ("crun", "runc", "bulkhead-runtime"):
        def one(host, name=name):
            test(host, runtime(host, name))
        one.__name__ = f"{test.__name__}_with_{name.replace('-', '_')}"
        suite.test(one)


@for_each
def a_container_lives_and_goes(host, program):
    with container(host, "--runtime", program, "--name", "guest", "--memory", "64m", "--env", "WORD=w",
                   "--tmpfs", "/tmp", command=("sh", "-c", "trap 'echo bye; exit 7' TERM; echo out; "
                                               "echo err >&2; while :; do sleep 0.1; done")) as identity:
        until(lambda: host.call("logs", "guest").stdout == "out\n", "its output")
        equal(host.call("logs", "guest").stderr, "err\n")
        told = host.inspected("guest")
        equal((told["State"]["Status"], told["HostConfig"]["Runtime"]), ("running", program))
        pid = told["State"]["Pid"]
        map_of = pathlib.Path(f"/proc/{pid}/uid_map").read_text().split()
        expect(map_of[0] == "0" and int(map_of[1]) > 65535, map_of)
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        expect("\nNoNewPrivs:\t1\n" in status and "\nSeccomp:\t2\n" in status, status)
        equal(host.good("exec", "guest", "sh", "-c", "id -u; echo $WORD; touch /tmp/x; hostname"),
              f"0\nw\n{identity[:12]}")
        equal(host.call("exec", "guest", "sh", "-c", "exit 9").returncode, 9)
        equal(host.good("exec", "-u", "1000:1000", "-w", "/usr", "guest", "sh", "-c", "id -u; pwd"),
              "1000\n/usr")
        expect("sh" in host.good("top", "guest"), "top")
        host.good("pause", "guest")
        equal(host.status("guest"), "paused")
        host.good("unpause", "guest")
        equal(host.status("guest"), "running")
        expect("guest" in host.good("ps", "--format", "{{.Names}} {{.Status}}"), "ps")
        host.refused("update", "--memory", "65m", "guest", code=1, words=["runtime"])
        host.good("stop", "guest")
        told = host.inspected("guest")["State"]
        equal((told["Status"], told["ExitCode"]), ("exited", 7))
        expect(host.good("logs", "guest").endswith("bye"), "the last line")
        host.good("start", "guest")
        equal(host.status("guest"), "running")
        host.good("kill", "guest")
        equal(host.told("guest", "{{.State.ExitCode}}"), "137")
        host.good("rm", "guest")
    nothing_left(host, identity)


@for_each
def exit_codes_and_streams_come_through(host, program):
    def run(*words, **more):
        return host.call("run", "--rm", "--runtime", program, *words, **more)
    done = run("-i", "busybox", "sh", "-c", "cat; echo err >&2; exit 5", stdin=None, input="typed\n")
    equal((done.returncode, done.stdout), (5, "typed\n"))
    expect(done.stderr.endswith("err\n"), done.stderr)
    equal(run("busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?").returncode, 137)
    done = run("busybox", "no-such-program")
    equal(done.returncode, 127, done.stderr)
    equal(host.containers(), [])
    equal(run("--timeout", "500ms", "busybox", *IDLE).returncode, 137)
    equal(host.containers(), [])


@for_each
def it_has_a_terminal(host, program):
    main, side = pty.openpty()
    with subprocess.Popen(host.command("run", "--rm", "-it", "--runtime", program, "busybox", "sh", "-c",
                                       "tty; read word; echo got $word; exit 4"),
                          stdin=side, stdout=side, stderr=subprocess.PIPE) as process:
        os.close(side)
        os.write(main, b"hello\n")
        said = b""
        try:
            while chunk := os.read(main, 4096):
                said += chunk
        except OSError:
            pass
        equal(process.wait(60), 4, process.stderr.read())
    os.close(main)
    expect(b"/dev/" in said and b"got hello" in said, said)


@for_each
def volumes_and_devices_are_seen_as_with_our_own(host, program):
    place = host.work.directory / "volume"
    place.mkdir(exist_ok=True)
    (place / "mine").write_text("text")
    os.chown(place / "mine", 1000, 1000)
    if host.call("run", "--rm", "-v", f"{place}:/data", "busybox", "true").returncode != 0:
        raise Skip("this file system cannot be idmapped")
    script = ("stat -c %u /data/mine; cat /data/mine; touch /data/new 2>/dev/null && echo written; "
              "dd if=/dev/zero of=/dev/null count=1 2>/dev/null && echo read")
    for mode, expected in (("rw", "1000\ntextwritten\nread"), ("ro", "1000\ntextread")):
        done = host.call("run", "--rm", "--runtime", program, "-v", f"{place}:/data:{mode}", "busybox", "sh",
                         "-c", script)
        equal(done.stdout.strip(), expected, done.stderr)
    equal(os.stat(place / "new").st_uid, 0, "idmapped one to one")
    (place / "new").unlink()


@suite.test
def what_another_runtime_cannot_do_is_refused(host):
    program = runtime(host, "runc")
    for flags in (("--preset", "untrusted"), ("--time-offset", "1h"), ("--health-cmd", "true"),
                  ("--runtime", "/no/such"), ("--runtime", "no-such-runtime")):
        done = host.call("run", "-d", "--runtime", program, *flags, "busybox", *IDLE)
        equal(done.returncode, ENGINE_FAILURE, f"{flags}: {done}")
        expect("untime" in done.stderr, f"{flags}: {done.stderr}")
    equal(host.containers(), [])
    done = host.call("run", "--rm", "--runtime", program, "busybox", "true")
    expect("not verified" in done.stderr, done.stderr)


@suite.test
def a_killed_start_leaves_nothing(host):
    program = runtime(host, "runc")
    for delay in (0.05, 0.15, 0.3):
        process = popen(host, "run", "-d", "--name", "half", "--runtime", program, "busybox", *IDLE)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        until(lambda: host.call("rm", "--force", "half").returncode in (0, 1) and not host.containers(),
              "it can be removed", 60)
    left = list((host.runroot / "bundles").iterdir()) if (host.runroot / "bundles").exists() else []
    equal(left, [], "bundles")
    listed = subprocess.run([program, "--root", str(host.runroot / "oci/runc"), "list", "-f", "json"],
                            capture_output=True, text=True, check=False)
    equal(json.loads(listed.stdout or "null") or [], [], "of runc")


if __name__ == "__main__":
    sys.exit(run_suite(suite))
