#!/usr/bin/env python3
"""Malformed and hostile configurations: a clear error, the exit code of runc, nothing left behind."""

import json
import os
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from bad_input_support import check, linux, main, namespaces, process, refuse, resources
from support.bundles import NAMESPACES, Traces, default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("bad input")


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
                                        "options": ["banana"]}]}, "banana"),
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
def a_class_of_the_cache_that_is_not_there(work):
    """No machine that tests run on has a class of that name, and most have no resctrl at all."""
    done = work.run(merge(default_config(), linux(intelRdt={"closID": "bulkhead-test-none"})))
    expect(done.returncode == 1 and "/linux/intelRdt" in done.stderr, str(done))
    equal(work.call("list", "--quiet").stdout, "", "containers left")


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


if __name__ == "__main__":
    sys.exit(main(suite))
