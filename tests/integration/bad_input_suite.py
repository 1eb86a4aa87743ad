#!/usr/bin/env python3
"""Malformed, hostile and mistyped input: a clear error that names what is wrong, runc's exit code, and
nothing left behind. Where runc takes the input, and a container without what was asked for would be
the result, refusing it is ours alone."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import NAMESPACES, Traces, Workshop, default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("bad input")
RUNC = shutil.which("runc", path="/usr/sbin:/usr/bin") or ""
NOBODY = 65534


def check(work, name, bundle, words, code=1, same_as_runc=True, options=()):
    """Runs the bundle: it must be refused with these words, and leave nothing."""
    words = (words,) if isinstance(words, str) else words
    container = work.new_id()
    traces = Traces(container)
    done = work.call("run", "--bundle", bundle, *options, container)
    equal(done.returncode, code, f"{name}: exit code; it said {done.stderr!r}")
    for word in words:
        expect(word.lower() in done.stderr.lower(), f"{name}: no {word!r} in {done.stderr!r}")
    expect(done.stderr.startswith("bulkhead-runtime: "), f"{name}: {done.stderr!r}")
    expect(len(done.stderr) < 2000 and "\0" not in done.stderr, f"{name}: {done.stderr[:300]!r}")
    expect(not (work.state / container).exists(), f"{name}: the state is left")
    left = traces.leftovers()
    expect(not left, f"{name}: left behind: {left[:4]}")
    if same_as_runc and RUNC:
        reference = work.with_runtime(RUNC)
        reference.state = work.directory / "runc-state"
        container = work.new_id()
        other = reference.call("run", "--bundle", bundle, *options, container)
        reference.call("delete", "--force", container)
        equal(done.returncode, other.returncode, f"{name}: beside runc's, which said {other.stderr}")


def refuse(work, cases, same_as_runc=True):
    """(name, changes to a good configuration, words of the error)"""
    for name, changes, words in cases:
        check(work, name, work.bundle(merge(default_config(), changes)), words,
              same_as_runc=same_as_runc)


def process(**changes):
    return {"process": changes}


def linux(**changes):
    return {"linux": changes}


def resources(**changes):
    return {"linux": {"resources": changes}}


def namespaces(*kinds):
    return [{"type": kind} for kind in kinds]


# --- config.json -----------------------------------------------------------------------------------


@suite.test
def text_that_is_no_configuration(work):
    good = json.dumps(default_config())
    for name, text, words in (
            ("nothing", b"", "line 1"),
            ("half", good[:len(good) // 2].encode(), "line 1"),
            ("an array", b"[]", "object"),
            ("NUL bytes", b"\0" * 64, "NUL"),
            ("no UTF-8", b'{"ociVersion": "\xff\xfe"}', "UTF-8"),
            ("deep arrays", b"[" * 100000, "nested"),
            ("deep objects", b'{"a":' * 100000, "nested"),
            ("two values", good.encode() + b" {}", "config.json")):
        bundle = work.bundle({})
        (bundle / "config.json").write_bytes(text)
        # runc reads only the first of two values.
        check(work, name, bundle, ("config.json", words), same_as_runc=name not in (
            "two values", "no UTF-8"))
    bundle = work.bundle({})
    (bundle / "config.json").write_text(good[:-1] + ', "hostname": "twice"}')
    check(work, "a key twice", bundle, ("hostname", "twice"), same_as_runc=False)


@suite.test
def a_configuration_that_is_huge_or_no_file(work):
    bundle = work.bundle({})
    with open(bundle / "config.json", "wb") as file:
        file.truncate(1 << 32)
    begin = time.monotonic()
    check(work, "4 GiB", bundle, "config.json", same_as_runc=False)
    expect(time.monotonic() - begin < 15, "it reads all of a huge file")
    for name, make in (("missing", lambda path: None), ("directory", os.mkdir),
                       ("dangling link", lambda path: os.symlink("/no/such", path))):
        bundle = work.bundle({})
        (bundle / "config.json").unlink()
        make(bundle / "config.json")
        check(work, name, bundle, "config.json")
    for bundle, words in (("/no/such/bundle", "/no/such/bundle"), ("/etc/passwd", "/etc/passwd")):
        check(work, bundle, bundle, words)


@suite.test
def fields_of_the_wrong_type(work):
    refuse(work, (
        ("linux is a string", {"linux": "x"}, "/linux"),
        ("mounts is an object", {"mounts": {"a": 1}}, "/mounts"),
        ("a mount is null", {"mounts": [None]}, "/mounts/0"),
        ("args is a string", process(args="x"), "/process/args"),
        ("terminal is a word", process(terminal="yes"), "/process/terminal"),
        ("annotations are numbers", {"annotations": {"a": 1}}, "/annotations"),
        ("a limit is a string", resources(memory={"limit": "512m"}), "/linux/resources/memory/limit"),
        ("a limit beyond 64 bits", resources(memory={"limit": 1 << 70}), "limit"),
        ("the user is a name", process(user={"uid": "root"}), ("/process/user/uid", '"root"')),
        ("the user is digits in quotes", process(user={"uid": "0"}), "/process/user/uid"),
        ("the user is negative", process(user={"uid": -1}), "-1"),
        ("the user is too large", process(user={"uid": 1 << 32}), "4294967296"),
        ("the user is a fraction", process(user={"gid": 1.5}), "/process/user/gid"),
        ("a further group is a name", process(user={"uid": 0, "gid": 0,
                                                    "additionalGids": ["wheel"]}),
         "additionalGids")))


@suite.test
def fields_that_are_missing(work):
    refuse(work, (
        ("no root", {"root": None}, "/root"), ("no process", {"process": None}, "/process"),
        ("no args", process(args=[]), "/process/args"),
        ("no program", process(args=[""]), "/process/args"),
        ("no cwd", process(cwd=None), "/process/cwd"),
        ("a relative cwd", process(cwd="x"), '"x"'),
        ("an empty root", {"root": {"path": ""}}, "/root/path"),
        ("a root that is not there", {"root": {"path": "/no/such/root"}}, "/no/such/root"),
        ("a root that is a file", {"root": {"path": "/etc/passwd"}}, "/etc/passwd"),
        ("a mount without destination", {"mounts": [{"type": "tmpfs"}]}, "destination")))
    refuse(work, (
        ("no version", {"ociVersion": None}, "/ociVersion"),
        ("a version of the future", {"ociVersion": "9.0.0"}, '"9.0.0"'),
        ("a version that is none", {"ociVersion": "x"}, '"x"')), same_as_runc=False)


@suite.test
def values_that_nothing_knows(work):
    refuse(work, (
        ("a namespace", linux(namespaces=namespaces("banana", "mount", "uts")), "banana"),
        ("a propagation", linux(rootfsPropagation="banana"), "banana"),
        ("a resource limit", process(rlimits=[{"type": "RLIMIT_BANANA", "hard": 1, "soft": 1}]),
         "RLIMIT_BANANA"),
        ("a file system", {"mounts": [{"destination": "/x", "type": "banana", "source": "x"}]}, "/x"),
        ("a mount option", {"mounts": [{"destination": "/x", "type": "tmpfs", "source": "x",
                                        "options": ["banana"]}]}, "/x"),
        ("a seccomp action", linux(seccomp={"defaultAction": "SCMP_ACT_BANANA"}),
         "SCMP_ACT_BANANA"),
        ("a seccomp architecture", linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW",
                                                  "architectures": ["SCMP_ARCH_BANANA"]}),
         "SCMP_ARCH_BANANA"),
        ("a device type", linux(devices=[{"path": "/dev/x", "type": "q", "major": 1, "minor": 3}]),
         '"q"'),
        ("a sysctl", linux(sysctl={"net.banana": "1"}), "banana"),
        ("a list of processors", resources(cpu={"cpus": "banana"}), "banana")))


@suite.test
def unknown_capabilities_and_system_calls_are_warned_of(work):
    for name, changes, word in (
            ("capability", process(capabilities={"bounding": ["CAP_BANANA", "CAP_KILL"]}),
             "CAP_BANANA"),
            ("system call", linux(seccomp={
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["banana"], "action": "SCMP_ACT_ERRNO"}]}), "banana")):
        done = work.run(merge(default_config(), changes))
        equal(done.returncode, 0, f"{name}: {done.stderr}")
        expect("warning" in done.stderr and word in done.stderr, f"{name}: {done.stderr!r}")


# --- hostile values ------------------------------------------------------------------------------------


@suite.test
def what_would_reach_beyond_the_container(work):
    refuse(work, (
        ("the host's name", {"hostname": "x", "linux": {"namespaces": namespaces("pid", "mount")}},
         "/hostname"),
        ("the host's sysctl", linux(sysctl={"kernel.panic": "1"}), "kernel.panic"),
        ("a sysctl that climbs", linux(sysctl={"net/../kernel/panic": "1"}), "sysctl"),
        ("a name that is too long", {"hostname": "x" * 100}, "/hostname"),
        ("a hook that is relative", {"hooks": {"createRuntime": [{"path": "x"}]}},
         "/hooks/createRuntime/0/path"),
        ("a hook that is missing", {"hooks": {"createRuntime": [{"path": "/no/such"}]}},
         "/no/such"),
        ("an oom score", process(oomScoreAdj=5000), "/process/oomScoreAdj"),
        ("the same limit twice", process(rlimits=[{"type": "RLIMIT_NOFILE", "hard": 9, "soft": 1}]
                                         * 2), "RLIMIT_NOFILE"),
        ("soft over hard", process(rlimits=[{"type": "RLIMIT_NOFILE", "hard": 1, "soft": 9}]),
         "/process/rlimits/0"),
        ("a NUL in the program", process(args=["/bin/true\0x"]), ("NUL", "/process/args")),
        ("a NUL in a variable", process(env=["A=\0"]), ("NUL", "/process/env/0")),
        ("a bind of nothing", {"mounts": [{"destination": "/x", "type": "bind",
                                           "source": "/no/such", "options": ["bind"]}]},
         "/no/such"),
        ("a profile that is not there", process(apparmorProfile="banana"), "banana"),
        ("a processor that is not there", resources(cpu={"cpus": "4000"}), "4000"),
        ("a quota that is too small", resources(cpu={"quota": 1, "period": 100000}),
         "/linux/resources/cpu/quota")))
    refuse(work, (
        ("the same namespace twice",
         linux(namespaces=namespaces("pid", "pid", "mount", "uts")), "pid"),), same_as_runc=True)
    refuse(work, (
        ("masking a relative path", linux(maskedPaths=["relative"]), "/linux/maskedPaths/0"),
        ("a relative device", linux(devices=[{"path": "x", "type": "c", "major": 1, "minor": 3}]),
         "/linux/devices/0/path")), same_as_runc=False)


def maps(*ranges):
    return [dict(zip(("containerID", "hostID", "size"), values)) for values in ranges]


@suite.test
def id_maps_that_cannot_be(work):
    whole = maps((0, 700000, 65536))
    def with_maps(uid):
        return linux(namespaces=namespaces(*NAMESPACES, "user"), uidMappings=uid, gidMappings=whole)
    refuse(work, (
        ("overlap inside", with_maps(maps((0, 700000, 10), (5, 800000, 10))), ("uidMappings",
                                                                             "overlaps")),
        ("overlap outside", with_maps(maps((0, 700000, 10), (20, 700005, 10))), ("uidMappings",
                                                                               "overlaps")),
        ("nothing mapped", with_maps(maps((0, 700000, 0))), "/linux/uidMappings/0/size"),
        ("beyond the last id", with_maps(maps((4294967290, 700000, 100))), "/linux/uidMappings/0"),
        ("no map", with_maps([]), "uidMappings"),
        ("a negative id", with_maps(maps((-1, 1, 1))), "uidMappings"),
        ("341 ranges", with_maps(maps(*((i * 2, 700000 + i * 2, 1) for i in range(341)))),
         "uidMappings")))
    refuse(work, (("maps without a namespace", linux(uidMappings=maps((0, 7000, 5))),
                   "/linux/uidMappings"),), same_as_runc=False)


@suite.test
def cgroup_paths_that_climb(work):
    before = {path for path, _, _ in os.walk("/sys/fs/cgroup")}
    refuse(work, (
        ("..", linux(cgroupsPath="/../../x-climbed"), ("/linux/cgroupsPath", "..")),
        (".. in the middle", linux(cgroupsPath="/a-climbed/../../b-climbed"), ".."),
        ("a relative ..", linux(cgroupsPath="../x-climbed"), ".."),
        ("a line break", linux(cgroupsPath="/x-climbed\ny"), "cgroupsPath"),
        ("systemd's form", linux(cgroupsPath="machine.slice:climbed:x"), "systemd"),
        ("a name of 300 bytes", linux(cgroupsPath="/" + "y" * 300), "cgroupsPath"),
        ("a NUL", linux(cgroupsPath="/x\0y"), "cgroupsPath")), same_as_runc=False)
    new = {path for path, _, _ in os.walk("/sys/fs/cgroup")} - before
    expect(not [path for path in new if "climbed" in path], f"groups: {sorted(new)[:5]}")


@suite.test
def image_with_links_where_mount_points_go(work):
    outside = work.directory / f"outside{next(work.numbers)}"
    outside.mkdir()
    for target in (str(outside), "../../../../../.." + str(outside), "/proc/self/root" + str(outside),
                   "loop"):
        root = work.own_root()
        (root / "loop").symlink_to("loop")
        (root / "place").symlink_to(target)
        traces = Traces(f"test-{os.getpid()}-")
        done = work.run(merge(default_config(["true"]), {
            "root": {"path": str(root)},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/place/inner", "type": "tmpfs", "source": "tmpfs"}]}))
        expect(done.returncode in (0, 1), f"{target}: {done}")
        if target == "loop":
            expect(done.returncode == 1 and "/place/inner" in done.stderr, f"a loop: {done}")
        equal(os.listdir(outside), [], f"{target}: files outside of the root")
        expect(not traces.leftovers(), f"{target}: {traces.leftovers()}")
        shutil.rmtree(root)


# --- ids ---------------------------------------------------------------------------------------------


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


# --- programs ------------------------------------------------------------------------------------------


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
def memory_limit_that_is_too_small_to_start(work):
    for limit in (1, 4096):
        check(work, str(limit), work.bundle(merge(default_config(), resources(
            memory={"limit": limit}))), ("memory limit", "too small", "/linux/resources/memory/limit"))


# --- the host ----------------------------------------------------------------------------------------


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
        deadline = time.monotonic() + 5
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


def main():
    if os.geteuid() != 0:
        print("SKIP bad input — needs root")
        return 0
    with Workshop() as work:
        os.chmod(work.directory, 0o755)
        return suite.main(work)


if __name__ == "__main__":
    sys.exit(main())
