#!/usr/bin/env python3
"""Attacks on privileges, limits and neighbours."""

import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from attack import GUEST, Running, capabilities, main, run_in, weakened, without
from support.bundles import default_config, merge
from support.harness import Skip, Suite, equal, expect

suite = Suite("escape")


@suite.test
def cve_2022_29162_inheritable_capabilities_are_empty(work):
    with Running(work, default_config(["sleep", "100"])) as container:
        for done in (container.exec("grep", "CapInh", "/proc/self/status"),
                     container.exec("grep", "CapInh", "/proc/1/status")):
            equal(done.stdout.split()[-1], "0" * 16, "inheritable set")


@suite.test
def cve_2026_30892_exec_takes_the_user_that_is_named(work):
    with Running(work, default_config(["sleep", "100"])) as container:
        for user, expected in (("1000", "1000 0"), ("1000:2000", "1000 2000"), ("0", "0 0"),
                               ("65534:65534", "65534 65534")):
            done = container.exec("sh", "-c", "echo $(id -u) $(id -g)", options=("--user", user))
            equal(done.stdout.strip(), expected, f"--user {user}: {done.stderr}")
        for bad in ("root", "1000:", ":5", "-1", "4294967295", "4294967296", "1e3", "", "0x0"):
            done = container.exec("id", options=(f"--user={bad}",))
            if bad == "":
                continue
            expect(done.returncode != 0, f"--user {bad!r} was taken: {done.stdout}")


@suite.test
def exec_has_no_more_than_the_container(work):
    with Running(work, default_config(["sleep", "100"])) as container:
        inside = container.exec("grep", "-E", "Cap|NoNew|Seccomp:", "/proc/self/status").stdout
        init = container.exec("grep", "-E", "Cap|NoNew|Seccomp:", "/proc/1/status").stdout
        equal(inside, init, "status of exec and init")
        for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
            equal(container.exec("readlink", f"/proc/self/ns/{kind}").stdout,
                  container.exec("readlink", f"/proc/1/ns/{kind}").stdout, kind)
        own = container.exec("cat", "/proc/self/cgroup").stdout
        expect(all(line.endswith(":/") for line in own.splitlines()), own)


SECCOMP = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
           "syscalls": [{"names": ["keyctl", "io_uring_setup", "userfaultfd", "unshare",
                                   "socketcall", "mount"],
                         "action": "SCMP_ACT_ERRNO"}]}


@suite.test
def denied_system_calls_are_denied_by_every_abi(work):
    root = work.own_root()
    shutil.copy(GUEST, root / "bin/guest")
    script = "for a in keyctl io-uring userfaultfd user-namespace socketcall; do guest try $a; done"

    def attempt(workshop, env):
        config = merge(default_config(["sh", "-c", script]), {"linux": {"seccomp": SECCOMP}})
        done = run_in(workshop, root, config, env=env)
        equal(done.returncode, 0, done.stderr)
        return done.stdout

    control = attempt(weakened(work), without("seccomp"))
    expect(control.count("ESCAPED") >= 4, f"the control is stopped by something else: {control}")
    text = attempt(work, dict(os.environ))
    equal(text.count("held"), 5, text)
    expect("ESCAPED" not in text, text)


@suite.test
def cve_2022_0492_a_release_agent_cannot_be_written(work):
    script = ("mkdir -p /tmp/c && unshare -Ur sh -c 'mount -t cgroup -o memory c /tmp/c && "
              "echo /x > /tmp/c/release_agent && echo ESCAPED'; "
              "for f in /sys/fs/cgroup/*/release_agent; do echo /x > $f && echo ESCAPED; done; true")
    done = work.shell(script)
    expect("ESCAPED" not in done.stdout, done.stdout)
    # The control: on the host's own hierarchy, with all the rights, the file can be opened to write.
    agents = list(pathlib.Path("/sys/fs/cgroup").glob("*/release_agent"))
    if not agents:
        raise Skip("no cgroup v1 hierarchy is mounted, so that there is no release_agent")
    expect(os.access(agents[0], os.W_OK), "the control cannot write it either")


@suite.test
def cve_2022_0811_sysctls_that_are_not_the_containers_are_refused(work):
    core = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    for name, value in (("kernel.core_pattern", "|/x"),
                        ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/x"),
                        ("net/../kernel/core_pattern", "|/x"),
                        ("net.ipv4.ip_forward/../../../kernel/core_pattern", "|/x"),
                        ("vm.overcommit_memory", "1"), ("kernel.modprobe", "/x"),
                        ("fs.suid_dumpable", "2"), ("net.", "1"), ("", "1")):
        done = work.run(merge(default_config(), {"linux": {"sysctl": {name: value}}}))
        expect(done.returncode != 0, f"sysctl {name!r}={value!r} was taken")
        equal(pathlib.Path("/proc/sys/kernel/core_pattern").read_text(), core, "core_pattern")
    done = work.run(merge(default_config(["cat", "/proc/sys/kernel/shm_rmid_forced"]),
                          {"linux": {"sysctl": {"kernel.shm_rmid_forced": "1"}}}))
    equal(done.stdout.strip(), "1", f"the control, a sysctl of the ipc namespace: {done.stderr}")


@suite.test
def other_processes_are_neither_seen_nor_signalled(work):
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        script = f"kill -9 {bystander.pid} && echo ESCAPED; ls /proc | grep -c '^[0-9]'"
        done = work.shell(script)
        expect("ESCAPED" not in done.stdout and bystander.poll() is None, done.stdout)
        control = merge(default_config(["sh", "-c", f"kill -9 {bystander.pid} && echo ESCAPED"]),
                        capabilities("CAP_KILL"))
        control["linux"]["namespaces"] = [{"type": kind} for kind in
                                          ("network", "ipc", "uts", "mount", "cgroup")]
        expect("ESCAPED" in work.run(control).stdout, "the control, without a pid namespace, is stopped")
    finally:
        bystander.kill()
        bystander.wait()


@suite.test
def limits_hold(work):
    bomb = "for i in $(seq 60); do sleep 20 & done; echo all started"
    held = work.shell(bomb, {"linux": {"resources": {"pids": {"limit": 20}}}})
    expect("all started" not in held.stdout or "can't fork" in held.stderr, held.stdout + held.stderr)
    free = work.shell(bomb, {"linux": {"resources": {"pids": {"limit": 200}}}})
    expect("all started" in free.stdout, f"the control is stopped: {free.stderr}")
    eater = "dd if=/dev/zero of=/dev/null bs=96M count=1 2>/dev/null && echo eaten"
    held = work.shell(eater, {"linux": {"resources": {"memory": {"limit": 32 << 20}}}})
    expect("eaten" not in held.stdout, "96 MiB were eaten under a limit of 32")
    free = work.shell(eater)
    expect("eaten" in free.stdout, f"the control is stopped: {free.stderr}")


@suite.test
def devices_that_are_not_listed_cannot_be_opened(work):
    script = "mknod /tmp/fuse c 10 229 && (exec 3< /tmp/fuse) && echo ESCAPED; true"
    changes = merge(capabilities("CAP_MKNOD", "CAP_DAC_OVERRIDE"),
                    {"linux": {"resources": {"devices": [{"allow": False, "access": "rwm"}]}}})
    root = work.own_root()
    done = run_in(work, root, merge(default_config(["sh", "-c", script]), changes))
    expect("ESCAPED" not in done.stdout, "a device that is not listed was opened")
    control_changes = merge(capabilities("CAP_MKNOD", "CAP_DAC_OVERRIDE"),
                            {"linux": {"resources": {"devices": [
                                {"allow": False, "access": "rwm"},
                                {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]}}})
    (root / "tmp/fuse").unlink(missing_ok=True)
    control = run_in(work, root, merge(default_config(["sh", "-c", script]), control_changes))
    if "ESCAPED" not in control.stdout:
        raise Skip("the control cannot open /dev/fuse either: this kernel has none")


@suite.test
def cve_2025_23266_hooks_get_nothing_of_the_runtimes_environment(work):
    record = work.directory / "hook-environment"
    hook = work.directory / "hook.sh"
    hook.write_text(f"#!/bin/sh\nenv > {record}\n")
    hook.chmod(0o755)
    config = merge(default_config(["true"]),
                   {"hooks": {"createRuntime": [
                       {"path": str(hook), "args": ["hook"], "env": ["ONLY=this"]}]}})
    done = work.run(config, env=dict(os.environ, LD_PRELOAD="/no/such.so", SECRET="x"))
    equal(done.returncode, 0, done.stderr)
    text = record.read_text()
    expect("ONLY=this" in text and "SECRET" not in text and "LD_PRELOAD" not in text, text)


@suite.test
def cve_2021_43784_maps_of_any_size_are_taken_whole_or_refused(work):
    """340 ranges are the kernel's limit; more, or more than a page of them, is an error and no
    truncated map."""
    def maps(count):
        return [{"containerID": i * 2, "hostID": 800000 + i * 2, "size": 1} for i in range(count)]
    def config(count):
        changed = default_config(["cat", "/proc/self/uid_map"])
        changed["linux"]["namespaces"].append({"type": "user"})
        changed["linux"]["uidMappings"] = maps(count)
        changed["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 800000, "size": 65536}]
        return changed
    for count in (341, 5000):
        done = work.run(config(count))
        expect(done.returncode != 0, f"{count} ranges were taken")
    root = work.own_root()
    os.chmod(work.directory, 0o755)
    for path in [root, *root.rglob("*")]:
        os.lchown(path, 800000, 800000)
    done = run_in(work, root, config(300))
    equal(len(done.stdout.splitlines()), 300, f"lines of the map: {done.stderr}")


if __name__ == "__main__":
    sys.exit(main(suite))
