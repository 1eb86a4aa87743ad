#!/usr/bin/env python3
"""docker run's limits and its security options, read from the kernel. BULKHEAD_RUNTIME names the runtime;
the suite also passes on runc, which is how it is itself tested."""

import json
import pathlib
import sys

from docker_host import DockerHost
from engine_support import (ON, Skip, Suite, cgroup_directory, cgroup_value, equal, expect, limit_of,
                            namespace, root_lacks_a_capability, run_suite, status_of)

suite = Suite("docker limits")


@suite.test
def memory_processors_and_processes_reach_the_kernel(docker):
    with docker.container("--memory", "64m", "--memory-swap", "96m", "--memory-reservation", "32m",
                          "--cpus", "1.5", "--cpu-shares", "300", "--cpuset-cpus", "0",
                          "--pids-limit", "33") as name:
        pid = docker.pid(name)
        equal(cgroup_value(pid, "memory", "memory.limit_in_bytes", "memory.max"), str(64 << 20), "memory")
        equal(cgroup_value(pid, "memory", "memory.soft_limit_in_bytes", "memory.low"), str(32 << 20),
              "reservation")
        equal(cgroup_value(pid, "pids", "pids.max", "pids.max"), "33", "pids")
        equal(cgroup_value(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "150000", "cpu quota")
        equal(cgroup_value(pid, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0", "cpuset")
        expect(cgroup_value(pid, "cpu", "cpu.shares", "cpu.weight") in ("300", "12"), "shares")
        swap = cgroup_directory(pid, "memory") / "memory.memsw.limit_in_bytes"
        if swap.exists():
            equal(swap.read_text().strip(), str(96 << 20), "memory and swap")
        equal(cgroup_directory(pid, "memory").parent.name, docker.enclosure.name, "parent group")


@suite.test
def a_memory_limit_kills_and_docker_hears_of_it(docker):
    with docker.container("--memory", "16m", command=("sh", "-c", "x=a; while :; do x=$x$x; done")) as name:
        docker.run("wait", name)
        equal(docker.inspect(name, ".State.ExitCode"), "137", "exit code")
        equal(docker.inspect(name, ".State.OOMKilled"), "true", "OOMKilled")


@suite.test
def the_oom_killer_can_be_off(docker):
    with docker.container("--memory", "16m", "--oom-kill-disable") as name:
        control = cgroup_directory(docker.pid(name), "memory") / "memory.oom_control"
        if not control.exists():
            raise Skip("cgroup v2 has no switch for the OOM killer")
        expect("oom_kill_disable 1" in control.read_text(), control.read_text())


@suite.test
def a_device_is_throttled(docker):
    device = next((path for path in pathlib.Path("/sys/block").iterdir()
                   if not path.name.startswith(("ram", "loop"))
                   and pathlib.Path(f"/dev/{path.name}").exists()), None)
    if device is None:
        raise Skip("no block device here")
    number = (device / "dev").read_text().strip()
    with docker.container("--device-read-bps", f"/dev/{device.name}:1mb", "--device-write-iops",
                          f"/dev/{device.name}:77") as name:
        pid = docker.pid(name)
        read = cgroup_value(pid, "blkio", "blkio.throttle.read_bps_device", "io.max")
        expect(read.split()[0] == number and str(1 << 20) in read, read)
        written = cgroup_value(pid, "blkio", "blkio.throttle.write_iops_device", "io.max")
        expect(written.split()[0] == number and "77" in written, written)


@suite.test
def ulimits_and_the_oom_score_are_set(docker):
    with docker.container("--ulimit", "nofile=333:444", "--ulimit", "core=0", "--oom-score-adj",
                          "500") as name:
        pid = docker.pid(name)
        equal(limit_of(pid, "open files"), "333", "open files")
        equal(limit_of(pid, "core file size"), "0", "core")
        equal(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text().strip(), "500", "oom score")


@suite.test
def shm_size_and_tmpfs_have_their_sizes(docker):
    sizes = docker.says("--shm-size", "3m", "--tmpfs", "/scratch:size=2m,mode=1770", docker.image, "sh", "-c",
                        "df -k /dev/shm /scratch | awk 'NR > 1 {print $2}'; stat -c %a /scratch")
    equal(sizes.split(), ["3072", "2048", "1770"], "sizes")


@suite.test
def devices_are_given_one_by_one(docker):
    if not pathlib.Path("/dev/fuse").exists():
        raise Skip("no /dev/fuse here, which anybody may open and no container has by itself")
    opens = "true < {0} && echo read; true > {0} && echo written"
    given = docker.once("--device", "/dev/fuse:/dev/given:r", docker.image, "sh", "-c",
                        "stat -c %t:%T /dev/given; " + opens.format("/dev/given"))
    equal(given.stdout.split(), ["a:e5", "read"], f"a device for reading: {given.stderr}")
    expect("not permitted" in given.stderr, given.stderr)
    given = docker.once("--device", "/dev/fuse:/dev/given", docker.image, "sh", "-c",
                        opens.format("/dev/given"))
    equal(given.stdout.split(), ["read", "written"], f"a whole device: {given.stderr}")
    make = "mknod -m 666 /tmp/k c 10 229; " + opens.format("/tmp/k")
    refused = docker.once(docker.image, "sh", "-c", make)
    equal(refused.stdout, "", f"a device that was not given: {refused.stderr}")
    expect("not permitted" in refused.stderr, refused.stderr)
    equal(docker.says("--device-cgroup-rule", "c 10:229 rwm", docker.image, "sh", "-c", make).split(),
          ["read", "written"], "a device that a rule allows")


@suite.test
def capabilities_seccomp_and_no_new_privileges_reach_the_kernel(docker):
    with docker.container() as name:
        status = status_of(docker.pid(name))
        equal(int(status["CapEff"], 16), 0xa80425fb, "Docker's default capabilities")
        equal(int(status["CapBnd"], 16), 0xa80425fb, "bounding set")
        equal(status["NoNewPrivs"], "0", "no new privileges")
        equal(status["Seccomp"], "2", "seccomp")
    with docker.container("--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--security-opt",
                          "no-new-privileges", "--security-opt", "seccomp=unconfined") as name:
        status = status_of(docker.pid(name))
        equal(int(status["CapEff"], 16), 1 << 10, "effective capabilities")
        equal(int(status["CapBnd"], 16), 1 << 10, "bounding set")
        equal(status["NoNewPrivs"], "1", "no new privileges")
        equal(status["Seccomp"], "0", "seccomp")


@suite.test
def dockers_own_seccomp_profile_and_a_custom_one_hold(docker):
    refused = docker.once(docker.image, "unshare", "-U", "true")
    expect("not permitted" in refused.stderr, f"a user namespace under the default profile: {refused}")
    docker.says("--security-opt", "seccomp=unconfined", docker.image, "unshare", "-U", "true")
    profile = docker.directory / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 37}]}), encoding="utf-8")
    done = docker.once("--security-opt", f"seccomp={profile}", docker.image, "mkdir", "/x")
    expect("No locks available" in done.stderr, done)


@suite.test
def privileged_has_everything_and_the_rest_has_masks(docker):
    look = "grep CapEff /proc/self/status; ls /dev | wc -l; mount -o remount,rw /sys && echo sys"
    done = docker.once("--privileged", docker.image, "sh", "-c", look)
    if ON and root_lacks_a_capability() and "unable to apply caps" in done.stderr:
        raise Skip(f"root lacks a capability here, and then it is refused{ON}")
    lines = done.stdout.split()
    expect(int(lines[1], 16) & (1 << 21), f"no CAP_SYS_ADMIN: {done}")
    expect(int(lines[2]) > 20 and lines[3] == "sys", f"no devices of the host, or /sys is read-only: {done}")
    plain = docker.once(docker.image, "sh", "-c", look)
    expect(int(plain.stdout.split()[2]) < 20 and "sys" not in plain.stdout, plain)
    masked = docker.says(docker.image, "sh", "-c", "wc -c < /proc/timer_list; ls /proc/acpi | wc -l; "
                         "grep -c ' /proc/sys ' /proc/mounts; "
                         "echo 1 > /proc/sys/kernel/domainname || echo ro")
    equal(masked.split(), ["0", "0", "1", "ro"], "masked and read-only paths")


@suite.test
def a_read_only_root_cannot_be_written(docker):
    done = docker.once("--read-only", docker.image, "touch", "/etc/x")
    expect(done.returncode != 0 and "Read-only" in done.stderr, done.stderr)
    docker.says("--read-only", "--tmpfs", "/tmp", docker.image, "touch", "/tmp/x")
    docker.says(docker.image, "touch", "/etc/x")
    # Docker's own files are mounted into it first.
    done = docker.once("--tmpfs", "/etc:ro,noexec", docker.image, "sh", "-c",
                       "cat /etc/hostname; grep ' /etc tmpfs ' /proc/mounts; touch /etc/x")
    expect("Read-only" in done.stderr and "noexec" in done.stdout and "ro," in done.stdout, done)


@suite.test
def namespaces_are_shared_when_asked(docker):
    own = docker.enclosure.holder.pid
    with docker.container("--ipc", "shareable", name="first") as name:
        first = docker.pid(name)
        for kind in ("pid", "net", "ipc", "uts", "mnt"):
            expect(namespace(first, kind) != namespace(own, kind), f"the {kind} namespace is the daemon's")
        with docker.container("--pid", "container:first", "--ipc", "container:first", "--network",
                              "container:first", name="second") as other:
            second = docker.pid(other)
            for kind in ("pid", "net", "ipc"):
                equal(namespace(second, kind), namespace(first, kind), kind)
            expect(namespace(second, "mnt") != namespace(first, "mnt"), "mount namespace shared")
            expect("sleep 1000" in docker.run("exec", other, "cat", "/proc/1/cmdline").replace("\0", " "),
                   "process 1 of the shared pid namespace")
    with docker.container("--pid", "host", "--ipc", "host", "--network", "host", "--uts", "host",
                          "--cgroupns", "host") as name:
        for kind in ("pid", "net", "ipc", "uts"):
            equal(namespace(docker.pid(name), kind), namespace(own, kind), kind)
        equal(namespace(docker.pid(name), "cgroup"), namespace("self", "cgroup"), "cgroup")
    with docker.container("--cgroupns", "private") as name:
        expect(namespace(docker.pid(name), "cgroup") != namespace("self", "cgroup"), "cgroup shared")
        expect(docker.enclosure.name not in docker.run("exec", name, "cat", "/proc/self/cgroup"),
               "the group's path is seen inside")


@suite.test
def sysctls_of_its_own_namespaces_are_set(docker):
    equal(docker.says("--sysctl", "net.ipv4.ip_unprivileged_port_start=77", "--sysctl",
                      "kernel.msgmax=9000", docker.image, "sh", "-c",
                      "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax").split(),
          ["77", "9000"], "sysctls")


@suite.test
def an_init_reaps_and_passes_signals(docker):
    with docker.container("--init", command=("sleep", "1000")) as name:
        equal(docker.run("exec", name, "cat", "/proc/1/comm"), "docker-init", "process 1")
        docker.run("stop", "-t", "10", name)
        equal(docker.inspect(name, ".State.ExitCode"), "143", "exit code")


if __name__ == "__main__":
    sys.exit(run_suite(suite, {"dockerd": "docker.io", "containerd": "containerd"}, DockerHost))
