#!/usr/bin/env python3
"""Ids, programs, hosts and flags that are not as they should be."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from bad_input_support import NOBODY, check, linux, main, resources
from support.bundles import Traces, default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("bad input")


@suite.test
def ids_that_are_no_names(work):
    bundle = work.bundle(default_config())
    for name in ("a/b", "/", "../x", "..", ".", "", "a b", "a\nb", "ä", "x" * 5000):
        for command in (("create", "--bundle", bundle), ("run", "--bundle", bundle), ("state",),
                        ("kill",), ("delete", "--force"), ("start",)):
            done = work.call(*command, "--", name) if name.startswith("-") else work.call(*command,
                                                                                       name)
            expect(done.returncode == 1, f"{command[0]} {name[:20]!r}: {done.returncode}")
            expect("id" in done.stderr or "exist" in done.stderr, f"{name[:20]!r}: {done.stderr}")
    expect(not work.state.exists() or not os.listdir(work.state), "states are left")
    for arguments in ((), ("a", "b")):
        done = work.call("state", *arguments)
        expect(done.returncode == 1 and "arguments" in done.stderr, f"{arguments}: {done}")


@suite.test
def ids_that_are_missing_or_taken(work):
    bundle = work.bundle(default_config(["sleep", "100"]))
    name = work.new_id()
    subprocess.run(work.command("create", "--bundle", bundle, name), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=30)
    groups = {path for path, _, _ in os.walk("/sys/fs/cgroup") if name in path}
    try:
        for command in ("create", "run"):
            done = work.call(command, "--bundle", bundle, name)
            expect(done.returncode == 1 and name in done.stderr and "already exists" in done.stderr,
                   f"{command}: {done}")
        state = json.loads(work.call("state", name).stdout)
        equal(state["status"], "created", "the first is as it was")
        equal({path for path, _, _ in os.walk("/sys/fs/cgroup") if name in path}, groups, "groups")
    finally:
        equal(work.call("delete", "--force", name).returncode, 0)


def with_program(work, name, content, mode=0o755):
    root = work.own_root()
    file = root / "bin" / name
    file.write_bytes(content)
    file.chmod(mode)
    return root


@suite.test
def programs_that_cannot_be_executed(work):
    # A dynamic program of the host: its loader is not in the image.
    dynamic = pathlib.Path("/usr/bin/env").read_bytes()
    for name, content, mode, words in (
            ("interpreter", b"#!/usr/bin/no-such-perl\n", 0o755, ("/usr/bin/no-such-perl",
                                                                  "interpreter")),
            ("crlf", b"#!/bin/sh\r\necho hello\r\n", 0o755, ("/bin/crlf", "CR")),
            ("mode", b"#!/bin/sh\n", 0o644, ("/bin/mode", "permission denied", "x bit")),
            ("loader", dynamic, 0o755, ("/bin/loader", "ld-linux", "loader")),
            ("format", b"\x7fELF and nothing more", 0o755, ("/bin/format", "exec format")),
            ("empty", b"", 0o755, ("/bin/empty", "exec format"))):
        root = with_program(work, name, content, mode)
        config = merge(default_config([f"/bin/{name}"]), {"root": {"path": str(root)}})
        check(work, name, work.bundle(config), words)
        shutil.rmtree(root)
    for args, words in ((["/no/such"], ("/no/such", "no such file or directory")),
                        (["no-such"], ('"no-such"', "executable file not found in $PATH")),
                        (["/etc"], ("/etc", "permission denied")),
                        (["/etc/passwd/x"], ("/etc/passwd/x", "no such file or directory"))):
        check(work, args[0], work.bundle(default_config(args)), words)


@suite.test
def program_that_fails_behind_a_profile_that_denies_every_other_call(work):
    """Not even exit(2) and the error's own message are allowed: the error arrives all the same."""
    root = with_program(work, "script", b"#!/missing/interpreter\n")
    config = merge(default_config(["/bin/script"]), linux(seccomp={
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}]}))
    config["root"]["path"] = str(root)
    bundle = work.bundle(config)
    done = work.call("run", "--bundle", bundle, work.new_id())
    expect(done.returncode == 1 and 'exec "/bin/script": no such file' in done.stderr, str(done))
    name = work.new_id()
    subprocess.run(work.command("create", "--bundle", bundle, name), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=30)
    try:
        done = work.call("start", name)
        expect(done.returncode == 1 and 'exec "/bin/script": no such file' in done.stderr,
               str(done))
    finally:
        equal(work.call("delete", "--force", name).returncode, 0)


@suite.test
def memory_limit_that_is_too_small_to_start(work):
    for limit in (1, 4096):
        check(work, str(limit), work.bundle(merge(default_config(), resources(
            memory={"limit": limit}))), ("memory limit", "too small", "/linux/resources/memory/limit"))


@suite.test
def disk_that_is_full(work):
    """The state root on a small file system without room: for blocks, and for names."""
    place = work.directory / f"full{next(work.numbers)}"
    place.mkdir()
    bundle = work.bundle(default_config(["sleep", "100"]))
    for options in ("size=64k", "nr_inodes=4"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
        try:
            try:
                for number in range(1000):
                    with open(place / f"filler{number}", "wb") as file:
                        if "size" in options:
                            file.write(b"x" * 4096)
                            file.flush()
            except OSError:
                pass
            for command in ("create", "run"):
                name = work.new_id()
                traces = Traces(name)
                done = subprocess.run([work.runtime, "--root", str(place), command, "--bundle",
                                       str(bundle), name], capture_output=True, text=True,
                                      stdin=subprocess.DEVNULL, timeout=30, check=False)
                expect(done.returncode == 1 and "No space left" in done.stderr, f"{options}: {done}")
                left = traces.leftovers()
                expect(not left, f"{options}: left behind: {left[:4]}")
                expect(not (place / name).exists(), f"{options}: the state is left")
        finally:
            subprocess.run(["umount", str(place)], check=True)


@suite.test
def pid_file_on_a_full_disk(work):
    place = work.directory / f"full{next(work.numbers)}"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs", str(place)], check=True)
    try:
        check(work, "pid file", work.bundle(default_config(["sleep", "100"])), "no space left",
              options=("--pid-file", place / "pid"))
    finally:
        subprocess.run(["umount", str(place)], check=True)


@suite.test
def permission_that_is_missing(work):
    runtime = work.directory / "runtime-of-nobody"
    shutil.copy(work.runtime, runtime)
    os.chmod(runtime, 0o755)
    bundle = work.bundle(default_config())
    closed = work.directory / "closed"
    closed.mkdir(mode=0o700)
    own = work.directory / "own"
    own.mkdir()
    os.chown(own, NOBODY, NOBODY)
    hidden = closed / "bundle"
    shutil.copytree(bundle, hidden)
    for root, directory, word in ((closed, bundle, str(closed)), (own, hidden, str(hidden)),
                                  (own, bundle, "")):
        name = work.new_id()
        traces = Traces(name)
        done = subprocess.run(
            ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
             str(runtime), "--root", str(root), "run", "--bundle", str(directory), name],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30, check=False)
        expect(done.returncode == 1 and word in done.stderr, f"{root} {directory}: {done}")
        expect("ermission denied" in done.stderr or "not permitted" in done.stderr
               or "user namespace" in done.stderr, f"{root} {directory}: {done.stderr}")
        equal(os.listdir(own), [], "the state root")
        expect(not traces.leftovers(), traces.leftovers())


@suite.test
def a_state_root_that_is_none(work):
    bundle = work.bundle(default_config())
    for root in ("/etc/passwd", "/proc/no-such", "/dev/null/x"):
        done = subprocess.run([work.runtime, "--root", root, "run", "--bundle", str(bundle),
                               work.new_id()], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=30, check=False)
        expect(done.returncode == 1 and root.split("/x")[0] in done.stderr, f"{root}: {done}")


@suite.test
def state_that_was_damaged(work):
    """A state directory with garbage in it: told, and delete --force removes it."""
    for content in (b"", b"{", b"\0" * 100, b"[]", b'{"id": "other"}'):
        bundle = work.bundle(default_config(["sleep", "100"]))
        name = work.new_id()
        traces = Traces(name)
        subprocess.run(work.command("create", "--bundle", bundle, name), stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=30)
        pid = json.loads(work.call("state", name).stdout)["pid"]
        files = [path for path in (work.state / name).iterdir() if path.suffix == ".json"
                 and path.name != "config.json"]
        for path in files:
            path.write_bytes(content)
        done = work.call("state", name)
        expect(done.returncode == 1 and done.stderr, f"{content[:9]}: {done}")
        expect(work.call("list", "--format", "json").returncode in (0, 1), "list")
        work.call("delete", "--force", name)
        try:  # what the damaged record hid is the test's to remove
            os.kill(pid, 9)
        except ProcessLookupError:
            pass
        deadline = time.monotonic() + 60
        while traces.leftovers(0) and time.monotonic() < deadline:
            for path, _, _ in os.walk("/sys/fs/cgroup", topdown=False):
                if name in path:
                    try:
                        os.rmdir(path)
                    except OSError:
                        pass
        shutil.rmtree(work.state / name, ignore_errors=True)


@suite.test
def flags_that_are_mistyped(work):
    for arguments, words in (
            (("--banana", "list"), "banana"), (("banana",), "banana"),
            (("run", "--banana", "x"), "banana"), (("kill",), "arguments"),
            (("--log-format", "xml", "list"), "xml"), (("--cgroup-manager", "x", "list"), '"x"'),
            (("--root",), "--root"), (("--rootless", "maybe", "list"), "maybe"),
            (("run", "--preserve-fds", "-1", "x"), "-1"),
            (("run", "--preserve-fds", "many", "x"), "many"),
            (("list", "--format", "xml"), "xml"), (("events", "--interval", "soon", "x"), "soon")):
        done = work.call(*arguments) if arguments[0] != "--root" else subprocess.run(
            [work.runtime, "--root"], capture_output=True, text=True, check=False)
        expect(done.returncode == 1 and words.lstrip("-") in done.stderr, f"{arguments}: {done}")


if __name__ == "__main__":
    sys.exit(main(suite))
