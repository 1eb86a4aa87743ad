"""config.md#process: terminal, working directory, limits, capabilities, user, scheduling."""

import array
import ctypes
import fcntl
import os
import resource
import socket
import struct
import termios

from conform import conforms, equal, expect

RLIMITS = {name.removeprefix("RLIMIT_"): number for name, number in vars(resource).items()
           if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"}


# --- terminal --------------------------------------------------------------------------------------


class Terminal:
    """Takes the terminal that a runtime sends over --console-socket."""

    def __init__(self, bench):
        self.path = bench.directory / f"t{next(bench.numbers)}"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.socket.listen()
        self.socket.settimeout(10)
        self.master = -1

    def __enter__(self):
        return self

    def take(self):
        connection, _ = self.socket.accept()
        with connection:
            _, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
        numbers = array.array("i")
        for _, _, data in control:
            numbers.frombytes(data[:4])
        expect(len(numbers) == 1, "one terminal was to be sent")
        self.master = numbers[0]
        return self.master

    def read_until(self, word):
        text = b""
        while word not in text:
            text += os.read(self.master, 4096)
        return text.replace(b"\r", b"").decode()

    def __exit__(self, *_):
        if self.master >= 0:
            os.close(self.master)
        self.socket.close()


def with_terminal(bench, script, changes=None):
    return bench.config(script, {"process": {"terminal": True, **(changes or {})}})


@conforms("config/process")
def a_terminal_stands_on_the_standard_streams(bench):
    with Terminal(bench) as terminal:
        container = bench.create(with_terminal(
            bench, "test -t 0 && test -t 1 && test -t 2 && echo all; echo end; sleep 1000"),
            options=("--console-socket", terminal.path))
        terminal.take()
        container.start()
        expect("all" in terminal.read_until(b"end"), "the program has no terminal")


@conforms("config/process")
def the_size_of_the_terminal_is_the_configured_one(bench):
    with Terminal(bench) as terminal:
        config = with_terminal(bench, "stty size; echo end; sleep 1000",
                               {"consoleSize": {"height": 37, "width": 91}})
        container = bench.create(config, options=("--console-socket", terminal.path))
        size = fcntl.ioctl(terminal.take(), termios.TIOCGWINSZ, b"\0" * 8)
        equal(struct.unpack("HHHH", size)[:2], (37, 91), "rows and columns")
        container.start()
        expect("37 91" in terminal.read_until(b"end"), "the program sees another size")


@conforms("config/process")
def a_console_size_without_a_terminal_is_ignored(bench):
    out = bench.output("echo ok", {"process": {"consoleSize": {"height": 10, "width": 10}}})
    equal(out, "ok\n", "output")


# --- directory, arguments, environment ---------------------------------------------------------------


@conforms("config/process")
def a_relative_working_directory_is_refused(bench):
    for cwd in ("tmp", ""):
        bench.refuses(bench.config(changes={"process": {"cwd": cwd}}))


@conforms("config/process")
def the_working_directory_is_set(bench):
    equal(bench.output("pwd", {"process": {"cwd": "/tmp"}}), "/tmp\n", "working directory")


@conforms("config/process")
def a_process_without_arguments_is_refused(bench):
    bench.refuses(bench.config(changes={"process": {"args": None}}))
    bench.refuses(bench.config([]))


@conforms("config/process")
def the_program_is_looked_for_as_execvp_does(bench):
    tools = bench.shared_directory()
    (tools / "tool").write_text('#!/bin/sh\necho found "$@"\n', encoding="ascii")
    (tools / "tool").chmod(0o755)
    done = bench.run(bench.config(["tool", "word"], {
        "process": {"env": ["PATH=/no/such:/tools:/bin"]},
        "mounts": bench.config()["mounts"] + [{"destination": "/tools", "type": "none",
                                               "source": str(tools), "options": ["bind"]}]}))
    equal((done.code, done.out), (0, "found word\n"), f"output ({done.err.strip()})")


@conforms("config/process")
def the_environment_is_the_configured_one(bench):
    lines = bench.output("env", {"process": {"env": ["PATH=/bin", "EMPTY=", "TWO=a=b"]}}).splitlines()
    expect("EMPTY=" in lines and "TWO=a=b" in lines, f"environment {lines}")


# --- limits ------------------------------------------------------------------------------------------


def with_limits(bench, *limits, args=("sleep", "1000")):
    return bench.config(args, {"process": {"rlimits": [
        {"type": kind, "soft": soft, "hard": hard} for kind, soft, hard in limits]}})


@conforms("config/posix-process")
def a_limit_of_no_known_type_is_refused(bench):
    bench.refuses(with_limits(bench, ("RLIMIT_PATIENCE", 1, 1)))


@conforms("config/posix-process")
def a_limit_that_stands_twice_is_refused(bench):
    bench.refuses(with_limits(bench, ("RLIMIT_NOFILE", 64, 64), ("RLIMIT_NOFILE", 128, 128)))


@conforms("config/posix-process")
def every_type_of_limit_is_known_and_matches(bench):
    # At or below what this process has, which needs no right to raise.
    wish = {}
    for name, number in RLIMITS.items():
        hard = resource.getrlimit(number)[1]
        hard = 1 << 30 if hard == resource.RLIM_INFINITY else hard
        wish[name] = (max(hard - 1, 0), hard)
    container = bench.started(with_limits(
        bench, *((f"RLIMIT_{name}", *limits) for name, limits in wish.items())))
    container.wait_for_program()
    for name, limits in wish.items():
        equal(resource.prlimit(container.pid(), RLIMITS[name]), limits, f"RLIMIT_{name}")


@conforms("config/posix-process")
def soft_and_hard_limits_match_the_configured_values(bench):
    done = bench.run(with_limits(bench, ("RLIMIT_NOFILE", 123, 456),
                                 args="ulimit -Sn; ulimit -Hn"))
    equal(done.out.split(), ["123", "456"], f"open files ({done.err.strip()})")


# --- capabilities and privileges -----------------------------------------------------------------------


def capability_sets(bench, capabilities, changes=None):
    config = bench.config("grep ^Cap /proc/self/status", {"process": changes or {}})
    config["process"]["capabilities"] = capabilities
    done = bench.run(config)
    equal(done.code, 0, f"exit code ({done.err.strip()})")
    return {line.split(":")[0]: int(line.split()[1], 16) for line in done.out.splitlines()}


@conforms("config/linux-process")
def the_capability_sets_are_the_configured_ones(bench):
    kill, chown, bind = 1 << 5, 1 << 0, 1 << 10
    three = ["CAP_KILL", "CAP_CHOWN", "CAP_NET_BIND_SERVICE"]
    # Root's program gains what the bounding set allows: that one shows itself.
    found = capability_sets(bench, {"bounding": three, "permitted": three, "effective": three})
    equal((found["CapBnd"], found["CapInh"], found["CapAmb"]), (kill | chown | bind, 0, 0),
          "bounding, inheritable and ambient")
    found = capability_sets(bench, {"bounding": three, "permitted": three, "effective": three,
                                    "inheritable": three[:1], "ambient": three[:1]},
                            {"user": {"uid": 1000, "gid": 1000}})
    equal(tuple(found[f"Cap{kind}"] for kind in ("Inh", "Amb", "Prm", "Eff")), (kill,) * 4,
          "inheritable, ambient, permitted and effective of another user")


@conforms("config/linux-process")
def a_capability_that_nobody_knows_is_warned_of(bench):
    done = bench.run(bench.config("grep ^CapBnd /proc/self/status", {"process": {
        "capabilities": {"bounding": ["CAP_KILL", "CAP_NO_SUCH"]}}}))
    equal(done.code, 0, f"exit code ({done.err.strip()})")
    equal(int(done.out.split()[1], 16), 1 << 5, "bounding set")
    expect("CAP_NO_SUCH" in done.err, f"no warning names it: {done.err!r}")


@conforms("config/linux-process")
def no_new_privileges_is_set_when_asked_for(bench):
    for asked, shown in ((True, "1"), (False, "0")):
        out = bench.output("grep ^NoNewPrivs /proc/self/status",
                           {"process": {"noNewPrivileges": asked}})
        equal(out.split()[1], shown, f"NoNewPrivs for {asked}")


@conforms("config/linux-process")
def the_out_of_memory_adjustment_is_set(bench):
    out = bench.output("cat /proc/self/oom_score_adj", {"process": {"oomScoreAdj": 567}})
    equal(out.strip(), "567", "oom_score_adj")


@conforms("config/linux-process")
def the_out_of_memory_adjustment_is_left_alone_when_not_asked_for(bench):
    # The runtime's own, set by a shell that then becomes the runtime.
    bundle = bench.bundle(bench.config(["cat", "/proc/self/oom_score_adj"]))
    command = bench.command("run", "--bundle", bundle, bench.new_id())
    child = bench.child("sh", "-c", 'echo 321 > /proc/self/oom_score_adj; exec "$@"', "sh", *command)
    equal(child.communicate(timeout=20)[0].strip(), b"321", "oom_score_adj")


# --- scheduling ------------------------------------------------------------------------------------------


@conforms("config/linux-process")
def the_scheduling_policy_is_set(bench):
    container = bench.started(bench.config(changes={"process": {"scheduler": {
        "policy": "SCHED_BATCH", "nice": 7}}}))
    container.wait_for_program()
    equal(os.sched_getscheduler(container.pid()), os.SCHED_BATCH, "policy")
    equal(os.getpriority(os.PRIO_PROCESS, container.pid()), 7, "nice value")


@conforms("config/linux-process")
def the_io_priority_is_set(bench):
    container = bench.started(bench.config(changes={"process": {"ioPriority": {
        "class": "IOPRIO_CLASS_IDLE", "priority": 3}}}))
    container.wait_for_program()
    number = {"x86_64": 252, "aarch64": 31}[os.uname().machine]  # ioprio_get(2)
    found = ctypes.CDLL(None, use_errno=True).syscall(number, 1, container.pid())
    equal(found >> 13, 3, "io priority class (idle)")


@conforms("config/linux-process")
def exec_runs_on_the_processors_that_were_asked_for(bench):
    last = max(os.sched_getaffinity(0))
    container = bench.started(bench.config(changes={"process": {"execCPUAffinity": {
        "initial": str(last), "final": str(last)}}}))
    container.wait_for_program()
    equal(os.sched_getaffinity(container.pid()), os.sched_getaffinity(0),
          "processors of the container's first process, which this does not concern")
    out = container.exec("grep", "Cpus_allowed_list", "/proc/self/status")
    equal(out.split()[1], str(last), "processors of the process that exec adds")


# --- user ------------------------------------------------------------------------------------------------


@conforms("config/user")
def the_process_runs_as_the_configured_user(bench):
    out = bench.output("id -u; id -g; grep ^Groups /proc/self/status; umask", {"process": {"user": {
        "uid": 1234, "gid": 2345, "additionalGids": [5, 6], "umask": 0o027}}})
    lines = out.splitlines()
    equal(lines[:2], ["1234", "2345"], "ids")
    expect({"5", "6"} <= set(lines[2].split()[1:]), f"groups {lines[2]}")
    equal(lines[3], "0027", "umask")


@conforms("config/user")
def a_user_without_ids_is_refused(bench):
    for missing in ("uid", "gid"):
        bench.refuses(bench.config(changes={"process": {"user": {missing: None}}}))
