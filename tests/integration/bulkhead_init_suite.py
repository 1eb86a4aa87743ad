#!/usr/bin/env python3
"""`bulkhead run --init`: what process 1 does, and that nobody inside can change it."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from bulkhead_support import LIVE, Running, main
from support.bundles import BUILD
from support.harness import Suite, equal, expect

suite = Suite("bulkhead init")


@suite.test
def the_exit_code_is_the_programs(host):
    for command, code in ((("true",), 0), (("sh", "-c", "exit 42"), 42),
                          (("sh", "-c", "kill -TERM $$"), 143), (("sh", "-c", "kill -9 $$"), 137),
                          (("no-such",), 127), (("/no/such",), 127), (("/etc/passwd",), 126),
                          (("/etc",), 126)):
        done = host.run("--init", "busybox", *command)
        equal(done.returncode, code, f"{command}: {done.stderr}")
        if code in (126, 127):
            expect(command[0] in done.stderr, f"{command}: {done.stderr}")


@suite.test
def it_is_process_1_behind_every_flag(host):
    script = "cat /proc/1/comm; echo $$; tr '\\0' ' ' </proc/1/cmdline"
    for flags in ((), ("--read-only",), ("--user", "1000:1000"), ("--cap-drop", "ALL"),
                  ("--read-only", "--user", "1000", "--cap-drop", "ALL", "--memory", "16m"),
                  ("--security-opt", "systempaths=unconfined"), ("--network", "host"),
                  ("--tmpfs", "/tmp", "--storage-opt", "size=16m", "--storage-opt", "limit=tmpfs")):
        lines = host.says("--init", *flags, "busybox", "sh", "-c", script).splitlines()
        equal(lines[0], "init", f"{flags}: process 1")
        expect(lines[1] != "1", f"{flags}: the program is process {lines[1]}")
        expect(lines[2].startswith("/dev/init sh -c"), f"{flags}: {lines[2]}")
    equal(host.says("busybox", "sh", "-c", "echo $$"), "1", "without --init")


@suite.test
def orphans_are_reaped(host):
    def zombies_beneath(container):
        found = []
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
            except OSError:
                continue
            parent = re.search(r"^PPid:\t(\d+)$", text, re.MULTILINE)
            if parent and int(parent[1]) == container.pid() and "\nState:\tZ" in "\n" + text:
                found.append(status.parent.name)
        return found
    # `exec sleep`: the shell's children become children of a program that never waits.
    leave = "echo up $(hostname); for i in 1 2 3 4; do sh -c 'exit 0' & done; exec sleep 100"
    with Running(host, script=leave) as container:
        deadline = time.monotonic() + 20
        while len(zombies_beneath(container)) < 4:
            expect(time.monotonic() < deadline, "the control leaves no zombies")
            time.sleep(0.02)
    orphans = ("echo up $(hostname); sh -c 'for i in 1 2 3 4; do sh -c \"exit 0\" & done; "
               "exec sleep 0.2'; exec sleep 100")
    with Running(host, "--init", script=orphans) as container:
        deadline = time.monotonic() + 20
        # init and the last sleep: the rest has come and gone.
        def names():
            alive = []
            for child in pathlib.Path("/proc").glob("[0-9]*/stat"):
                try:
                    fields = child.read_text().rsplit(")", 1)
                    namespace = os.readlink(child.parent / "ns/pid")
                except OSError:
                    continue
                if namespace == inside:
                    alive.append((fields[0].split("(", 1)[1], fields[1].split()[0]))
            return sorted(alive)
        inside = os.readlink(f"/proc/{container.pid()}/ns/pid")
        while [name for name, _ in names()] != ["init", "sleep"] or zombies_beneath(container):
            expect(time.monotonic() < deadline, f"processes: {names()}")
            time.sleep(0.02)


@suite.test
def signals_are_forwarded(host):
    script = "trap 'echo got; exit 9' TERM INT USR1 HUP QUIT WINCH; " + LIVE
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP, signal.SIGQUIT):
        with Running(host, "--init", script=script) as container:
            container.process.send_signal(number)
            equal((container.process.stdout.read().strip(), container.process.wait(20)),
                  ("got", 9), str(number))
    # A program that does not handle SIGTERM ends by it; as process 1 itself it would go on.
    with Running(host, "--init", script="echo up x; exec sleep 100") as container:
        container.process.send_signal(signal.SIGTERM)
        equal(container.process.wait(20), 143)
    with Running(host, script="echo up x; exec sleep 100") as container:
        container.process.send_signal(signal.SIGTERM)
        try:
            container.process.wait(1)
        except subprocess.TimeoutExpired:
            pass
        else:
            raise AssertionError("the control: process 1 has no default actions")


@suite.test
def the_rest_ends_with_the_program(host):
    marker = f"2{os.getpid()}77"
    done = host.run("--init", "busybox", "sh", "-c",
                    f"(trap '' TERM HUP; sleep {marker}) & sleep 0.1; exit 4", timeout=30)
    equal(done.returncode, 4, done.stderr)
    found = [path.parent.name for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
             if marker in read(path)]
    equal(found, [], "processes that outlive the container")


def read(path):
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


@suite.test
def the_program_has_the_terminal(host):
    """Its group is the foreground: it reads, and a key of the terminal reaches it."""
    command = " ".join(host.command(
        "run", "--rm", "--init", "-it", "busybox", "sh", "-c",
        "'trap \"echo interrupted; exit 5\" INT; set -- $(sed \"s/.*) //\" /proc/$$/stat); "
        "[ $3 = $6 ] && echo foreground; read line; echo got $line; while :; do sleep 0.05; done'"))
    master, slave = os.openpty()
    process = subprocess.Popen(["setsid", "--ctty", "sh", "-c", f"exec {command}"], stdin=slave,
                               stdout=slave, stderr=slave)
    os.close(slave)
    text, deadline = "", time.monotonic() + 30

    def until(word):
        nonlocal text
        while word not in text:
            expect(time.monotonic() < deadline, f"no {word!r} in {text!r}")
            os.set_blocking(master, False)
            try:
                text += os.read(master, 4096).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                expect(word in text, f"no {word!r} in {text!r}")
    try:
        until("foreground")
        os.write(master, b"word\n")
        until("got word")
        os.write(master, b"\x03")
        until("interrupted")
        equal(process.wait(20), 5)
    finally:
        process.kill()
        process.wait()
        os.close(master)


@suite.test
def nobody_inside_can_change_it(host):
    program = BUILD / "bin/bulkhead-init"
    before = program.read_bytes()
    script = ("for f in /dev/init /proc/1/exe; do (echo x >$f) 2>&1; (echo x >>$f) 2>&1; done; "
              "rm /dev/init 2>&1; mv /dev/init /dev/other 2>&1; chmod 777 /dev/init 2>&1; "
              "grep ' /dev/init ' /proc/self/mountinfo; stat -c '%u %a' /dev/init")
    for flags in ((), ("--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "--security-opt",
                       "systempaths=unconfined")):
        more = "mount -o remount,bind,rw /dev/init 2>&1; (echo x >/dev/init) 2>&1; " if flags else ""
        text = host.says("--init", *flags, "busybox", "sh", "-c", more + script)
        owner = text.splitlines()[-1].split()
        equal(owner[0], "65534", f"{flags}: whose it is")
        expect(" ro," in text.splitlines()[-2] or flags, text)
        equal(program.read_bytes(), before, f"{flags}: the file on the host")


@suite.test
def it_is_told_and_refused_where_it_cannot_be(host):
    told = json.loads(host.call("explain", "--format", "json", "run", "--init", "busybox",
                                "true").stdout)
    equal(told["arguments"], ["/dev/init", "true"])
    facts = [fact for layer in told["layers"] if layer["name"] == "pid namespace"
             for fact in layer["facts"] if fact["name"] == "process 1"]
    expect(len(facts) == 1 and "bulkhead-init" in facts[0]["value"], facts)
    for flags in (("--tmpfs", "/dev"), ("-v", f"{host.directory}:/dev/"), ("--tmpfs", "/dev/init")):
        done = host.run("--init", *flags, "busybox", "true")
        expect(done.returncode == 125 and "--init" in done.stderr, f"{flags}: {done}")
    done = subprocess.run([BUILD / "bin/bulkhead-init", "true"], capture_output=True, text=True,
                          check=False)
    expect(done.returncode == 125 and "process 1" in done.stderr, done)
    expect(b"ld-linux" not in (BUILD / "bin/bulkhead-init").read_bytes(), "it is static")


if __name__ == "__main__":
    sys.exit(main(suite))
