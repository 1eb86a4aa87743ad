#!/usr/bin/env python3
"""A dockerd that remaps users and has the runtime under test as its default: containers in user
namespaces, and image builds. BULKHEAD_RUNTIME names the runtime; the suite also passes on runc, which is
how it is itself tested."""

import json
import pathlib
import sys

from docker_host import DockerHost
from engine_support import RUNTIME, Suite, cgroup_value, equal, expect, namespace, run_suite, status_of

suite = Suite("docker users")
FIRST, COUNT = 700000, 65536
# Of the user games of every Debian; in the mount namespace of the daemon alone.
SUBORDINATE = f"games:{FIRST}:{COUNT}\n"


@suite.test
def root_inside_is_nobody_outside(docker):
    with docker.container() as name:
        pid = docker.pid(name)
        equal(docker.run("exec", name, "id", "-u"), "0", "uid inside")
        equal(status_of(pid)["Uid"].split(), [str(FIRST)] * 4, "uid outside")
        equal(status_of(pid)["Gid"].split(), [str(FIRST)] * 4, "gid outside")
        equal(pathlib.Path(f"/proc/{pid}/uid_map").read_text().split(), ["0", str(FIRST), str(COUNT)], "map")
        expect(namespace(pid, "user") != namespace("self", "user"), "no user namespace of its own")
        equal(docker.run("exec", name, "readlink", "/proc/self/ns/user"), namespace(pid, "user"), "exec's")


@suite.test
def its_files_belong_to_the_mapped_user(docker):
    with docker.container("--tmpfs", "/scratch", "-v", "kept:/data") as name:
        docker.run("exec", name, "touch", "/file", "/scratch/file", "/data/file")
        for path in ("file", "scratch/file", "data/file", "etc/passwd", "dev/shm"):
            equal((docker.root(name) / path).stat().st_uid, FIRST, f"owner of /{path} outside")
        docker.run("exec", "--user", "1000", name, "touch", "/tmp/user")
        equal((docker.root(name) / "tmp/user").stat().st_uid, FIRST + 1000, "owner of a user's file")


@suite.test
def it_cannot_read_what_is_roots_outside(docker):
    directory = docker.directory / "secret"
    directory.mkdir()
    (directory / "file").write_text("secret", encoding="utf-8")
    (directory / "file").chmod(0o600)
    volume = ("-v", f"{directory}:/data")
    done = docker.once(*volume, docker.image, "cat", "/data/file")
    expect("Permission denied" in done.stderr, f"the host's file was read: {done}")
    equal(docker.says(*volume, "--userns", "host", docker.image, "cat", "/data/file"), "secret",
          "the control: without a user namespace")


@suite.test
def userns_host_turns_it_off(docker):
    with docker.container("--userns", "host") as name:
        equal(namespace(docker.pid(name), "user"), namespace("self", "user"), "user namespace")
        equal(status_of(docker.pid(name))["Uid"].split()[0], "0", "uid outside")


@suite.test
def everyday_use_works_in_a_user_namespace(docker):
    with docker.container("--memory", "64m", "--hostname", "inside") as name:
        equal(cgroup_value(docker.pid(name), "memory", "memory.limit_in_bytes", "memory.max"),
              str(64 << 20), "memory")
        equal(docker.run("exec", name, "hostname"), "inside", "hostname")
        docker.run("pause", name)
        docker.run("unpause", name)
        expect("eth0" in docker.run("exec", name, "ls", "/sys/class/net").split(), "no network")
        docker.run("restart", "-t", "0", name)
        docker.run("stop", "-t", "0", name)
        equal(docker.inspect(name, ".State.ExitCode"), "137", "exit code")


@suite.test
def the_defaults_hold_in_a_user_namespace(docker):
    with docker.container() as name:
        status = status_of(docker.pid(name))
        equal(int(status["CapEff"], 16), 0xa80425fb, "capabilities")
        equal(status["Seccomp"], "2", "seccomp")
    done = docker.once(docker.image, "sh", "-c",
                       "echo 1 > /proc/sys/kernel/domainname || cat /proc/kcore | wc -c")
    equal(done.stdout.strip(), "0", f"a read-only and a masked path: {done.stderr}")


@suite.test
def an_image_is_built_by_running_containers(docker):
    directory = docker.directory / "build"
    directory.mkdir()
    (directory / "Dockerfile").write_text(
        f"FROM {docker.image}\nRUN id -u > /who && cat /proc/1/uid_map >> /who\nUSER 77:88\n"
        "RUN id -u > /tmp/user\nENTRYPOINT [\"cat\", \"/who\", \"/tmp/user\"]\n", encoding="utf-8")
    docker.run("build", "-q", "-t", "built", directory, timeout=120)
    equal(docker.run("run", "--rm", "built").split(), ["0", "0", str(FIRST), str(COUNT), "77"],
          "built image")


@suite.test
def the_default_runtime_is_the_tested_one(docker):
    equal(docker.run("info", "--format", "{{.DefaultRuntime}}"), "tested", "default runtime")
    with docker.container() as name:
        equal(docker.inspect(name, ".HostConfig.Runtime"), "tested", "runtime of a container")


@suite.test
def no_group_is_left_behind(docker):
    docker.remove_all()
    groups = [group for group in docker.enclosure.groups()
              if pathlib.Path(group).name != docker.enclosure.name]
    equal(groups, [], "cgroups left")


def remapping_host():
    def subordinate_ids(enclosure):
        file = enclosure.directory / "subordinate"
        file.write_text(SUBORDINATE, encoding="utf-8")
        for target in ("/etc/subuid", "/etc/subgid"):
            done = enclosure.call("mount", "--bind", file, target)
            equal(done.returncode, 0, done.stderr)
    host = DockerHost(json.dumps({"runtimes": {"tested": {"path": RUNTIME}}, "default-runtime": "tested"}),
                      ("--userns-remap", "games"), subordinate_ids)
    host.runtime = None
    return host


if __name__ == "__main__":
    sys.exit(run_suite(suite, {"dockerd": "docker.io", "containerd": "containerd"}, remapping_host))
