#!/usr/bin/env python3
"""checkpoint and restore by the real CRIU: what goes on, what holds afterwards, and what a failure
leaves."""

import json
import os
import pathlib
import subprocess
import sys
import time

from inside import DISK, Suite, default_config, equal, expect, keys, main, merge
from support.bundles import FULL
from support.harness import Skip
from traveller import (CONNECTION, COUNTER, PATIENCE, Traveller, connected, restrictions, shell, talk,
                       volumes, wait_until)

TESTS = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TESTS / "integration"), str(TESTS / "engines")]
from podman_host import PodmanHost
from runtime_support import Listener

suite = Suite("checkpoint")


def full(test):
    """Rows that a sample does without."""
    return suite.test(test) if FULL else test


@suite.test
def a_process_goes_on_where_it_was(work):
    with Traveller(work, shell(COUNTER)) as container:
        word, first = container.counted()
        time.sleep(1)
        container.checkpoint()
        equal(container.state()["status"], "stopped", "after the checkpoint")
        last = [line.split() for line in container.output.read().splitlines()][-1]
        equal(last[0], word, "its own word")
        container.delete()
        pid_file = work.directory / "restored-pid"
        container.restore("--pid-file", pid_file)
        word_after, number = container.counted()
        equal(word_after, word, "the word in its memory")
        expect(int(last[1]) <= number <= int(last[1]) + 2, f"{last[1]} and then {number}")
        expect(number > first, f"it began anew: {number}")
        state = container.state()
        equal((state["status"], state["pid"]), ("running", int(pid_file.read_text())), "state")
        equal(container.exec("sh", "-c", "echo $$; cat /proc/self/cgroup").stdout.split()[1:],
              ["0::/"], "exec")
        equal(json.loads(container.call("ps", "--format=json").stdout)[0], state["pid"], "ps")
        equal(container.call("pause").returncode, 0, "pause")
        equal(container.call("resume").returncode, 0, "resume")
        equal(work.call("kill", container.name, "KILL").returncode, 0, "kill")
        deadline = time.monotonic() + 30
        while container.state()["status"] != "stopped" and time.monotonic() < deadline:
            time.sleep(0.05)
        container.delete()


SECCOMP = {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}}}


@suite.test
def the_isolation_is_the_same_afterwards(work):
    config = shell("while :; do sleep 1; done", SECCOMP, {"root": {"readonly": True}})
    with Traveller(work, config) as container:
        status, mounts = restrictions(container)
        equal(status["Seccomp"], ["2"], "the filter")
        namespaces = os.listdir(f"/proc/{container.state()['pid']}/ns")
        container.move()
        after, mounts_after = restrictions(container)
        equal(after, status, "the process")
        equal(mounts_after, mounts, "the mounts")
        pid = container.state()["pid"]
        for name in ("pid", "net", "ipc", "uts", "mnt", "cgroup"):
            expect(name in namespaces and os.stat(f"/proc/{pid}/ns/{name}").st_ino !=
                   os.stat(f"/proc/self/ns/{name}").st_ino, f"{name} is the host's")
        script = ("cat /proc/kcore | wc -c; touch /x; cat /proc/self/cgroup; hostname; "
                  "(echo 0 > /proc/sys/kernel/panic); ls /sys/firmware | wc -l")
        said = container.exec("sh", "-c", script)
        equal(said.stdout.split(), ["0", "0::/", "container", "0"], said.stderr)
        equal(said.stderr.count("Read-only file system"), 2, said.stderr)


@full
def limits_are_in_force_afterwards(work):
    limits = {"linux": {"resources": {"memory": {"limit": 48 << 20, "swap": 48 << 20},
                                      "pids": {"limit": 41}, "cpu": {"quota": 90000}}}}
    with Traveller(work, shell("while :; do sleep 1; done", limits)) as container:
        container.move()
        equal([container.group(name).strip() for name in ("memory.max", "pids.max", "cpu.max")],
              [str(48 << 20), "41", "90000 100000"], "limits")
        pid = container.state()["pid"]
        expect(str(pid) in container.group("cgroup.procs").split(), "it is not in its group")
        container.exec("dd", "if=/dev/zero", "of=/dev/null", "bs=96M", "count=1")
        expect(keys(container.group("memory.events"))["oom_kill"] >= 1, "nothing was killed")
        equal(container.state()["status"], "running", "the first process")


@full
def a_tmpfs_travels_and_a_volume_is_bound_again(work):
    here, there, fixed = (DISK / name for name in ("here", "there", "fixed"))
    for place in (here, there, fixed):
        place.mkdir(exist_ok=True)
        (place / "name").write_text(place.name)
    # Three of one file system, of which CRIU itself closes one at most.
    script = "echo kept > /scratch/file; exec 3< /data/name; while :; do sleep 1; done"
    config = shell(script, volumes(("/data", here), ("/fixed", fixed, "ro"),
                                   ("/closed", fixed, "ro", "noexec")))
    with Traveller(work, config) as container:
        time.sleep(1)
        (there / "name").write_text("here")  # what it has open must not have changed
        container.checkpoint()
        container.delete()
        merge(config, volumes(("/data", there), ("/fixed", fixed, "ro"),
                              ("/closed", fixed, "ro", "noexec")))
        merge(config, {"root": {"path": str(container.root())}})
        (container.bundle / "config.json").write_text(json.dumps(config))
        (there / "new").write_text("yes")
        container.restore()
        said = container.exec("sh", "-c", "cat /scratch/file /data/new; ls /data; "
                              "touch /data/written /fixed/written /closed/written; "
                              "grep scratch /proc/mounts")
        expect(said.stdout.startswith("kept\nyes"), f"{said.stdout} {said.stderr}")
        expect("nosuid,nodev" in said.stdout and "size=1024k" in said.stdout, said.stdout)
        expect((there / "written").exists() and not (here / "written").exists(), "the other source")
        expect(not (fixed / "written").exists(), "a read-only volume was written")


@full
def a_container_can_be_left_running(work):
    with Traveller(work, shell(COUNTER)) as container:
        container.counted()
        pid = container.state()["pid"]
        container.checkpoint("--leave-running")
        state = container.state()
        equal((state["status"], state["pid"]), ("running", pid), "state")
        _, number = container.counted()
        deadline = time.monotonic() + 60
        while container.counted()[1] < number + 10:
            expect(time.monotonic() < deadline, "it does not go on")


@full
def a_terminal_travels(work):
    config = shell("while read line; do echo got $line; done", {"process": {"terminal": True}})
    with Listener(work) as listener:
        name = work.new_id()
        bundle = work.bundle(config, own_root=True)
        images = work.directory / f"{name}.images"
        done = work.call("run", "--detach", "--bundle", bundle, "--console-socket", listener.path, name)
        equal(done.returncode, 0, done.stderr)
        master = listener.descriptor()
    try:
        talk(master, "one")
        done = work.call("checkpoint", "--image-path", images, name, timeout=PATIENCE)
        equal(done.returncode, 0, done.stderr)
        equal(work.call("delete", name).returncode, 0, "delete")
        os.close(master)
        with Listener(work) as listener:
            done = work.call("restore", "--detach", "--bundle", bundle, "--image-path", images,
                             "--console-socket", listener.path, name, timeout=PATIENCE)
            equal(done.returncode, 0, done.stderr)
            master = listener.descriptor()
        talk(master, "two")
        os.close(master)
    finally:
        work.call("delete", "--force", name)


@full
def what_cannot_be_checkpointed_goes_on(work):
    """An open connection, which CRIU takes along only when it is told to."""
    with Traveller(work, shell(CONNECTION + COUNTER)) as container:
        container.counted()
        pid = container.state()["pid"]
        wait_until(lambda: connected(container), "no connection")
        done = container.call("checkpoint", "--image-path", container.images)
        equal(done.returncode, 1, "exit code")
        expect("--tcp-established" in done.stderr and str(container.images / "dump.log") in
               done.stderr, f"the log is not quoted: {done.stderr}")
        state = container.state()
        equal((state["status"], state["pid"]), ("running", pid), "state")
        _, number = container.counted()
        wait_until(lambda: container.counted()[1] > number + 10, "it does not go on")
        expect(connected(container), "the connection is gone")


@full
def what_is_less_isolated_than_asked_is_not_restored(work):
    """A checkpoint without a filter, under a configuration that has one; and a broken one."""
    config = shell("while :; do sleep 1; done")
    with Traveller(work, config) as container:
        container.checkpoint()
        container.delete()
        root = {"root": {"path": str(container.root())}}
        for change, words in (
                (SECCOMP, "seccomp"),
                ({"linux": {"maskedPaths": ["/proc/version"]}}, "/proc/version"),
                ({"process": {"capabilities": {"bounding": ["CAP_KILL"]}}}, "CAP_NET_BIND_SERVICE")):
            config = merge(merge(shell("while :; do sleep 1; done"), root), change)
            (container.bundle / "config.json").write_text(json.dumps(config))
            said = container.refused()
            expect(words in said, f"{change}: {said}")
            container.nothing_is_left()
        config = merge(shell("while :; do sleep 1; done"), root)
        (container.bundle / "config.json").write_text(json.dumps(config))
        core = next(container.images.glob("core-1.img"))
        whole = core.read_bytes()
        core.write_bytes(whole[:len(whole) // 2])
        said = container.refused()
        expect("restore.log" in said, said)
        container.nothing_is_left()
        core.write_bytes(whole)
        container.restore()  # the control


@full
def connections_travel_or_are_closed(work):
    with Traveller(work, shell(CONNECTION + COUNTER)) as container:
        word, _ = container.counted()
        wait_until(lambda: connected(container), "no connection")
        container.checkpoint("--tcp-established")
        container.delete()
        container.restore("--tcp-close")
        equal(container.counted()[0], word, "the word in its memory")
        expect(not connected(container), "the connection is there")
        container.call("delete", "--force")
        container.output.close()
        container.nothing_is_left()
        container.restore("--tcp-established")
        equal(container.counted()[0], word, "the word in its memory")
        expect(connected(container), "the connection is gone")


@full
def memory_is_written_ahead(work):
    script = f"dd if=/dev/urandom of=/dev/shm/ballast bs=1M count=4 2>/dev/null; {COUNTER}"
    with Traveller(work, shell(script)) as container:
        word, _ = container.counted()
        first = container.images.with_suffix(".first")
        container.checkpoint("--pre-dump", images=first)
        equal(container.state()["status"], "running", "after the pre-dump")
        container.counted()
        done = container.call("checkpoint", "--image-path", container.images, "--parent-path", first)
        expect(done.returncode == 1 and "relative" in done.stderr, f"an absolute path: {done}")
        container.checkpoint("--parent-path", f"../{first.name}")
        container.delete()
        container.restore()
        equal(container.counted()[0], word, "the word in its memory")


@full
def a_joined_network_is_joined_again(work):
    subprocess.run(["ip", "netns", "add", "traveller"], check=True)
    try:
        config = shell("while :; do sleep 1; done")
        for entry in config["linux"]["namespaces"]:
            if entry["type"] == "network":
                entry["path"] = "/run/netns/traveller"
        with Traveller(work, config) as container:
            container.move()
            equal(os.stat(f"/proc/{container.state()['pid']}/ns/net").st_ino,
                  os.stat("/run/netns/traveller").st_ino, "the namespace")
    finally:
        subprocess.run(["ip", "netns", "delete", "traveller"], check=True)


@full
def hooks_run_as_for_a_new_container(work):
    log = work.directory / "hooks"
    def hook(stage):
        return [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {stage} >> {log}"]}]
    hooks = {stage: hook(stage) for stage in ("prestart", "createRuntime", "poststart", "poststop")}
    with Traveller(work, shell("while :; do sleep 1; done", {"hooks": hooks})) as container:
        container.checkpoint()
        container.delete()
        log.write_text("")
        container.restore()
        equal(log.read_text().split(), ["prestart", "createRuntime"], "at the restore")
        container.call("kill", "KILL")
        equal(container.call("delete", "--force").returncode, 0, "delete")
        equal(log.read_text().split()[2:], ["poststop"], "at the delete")
        log.write_text("")
        failing = {"hooks": {"prestart": [{"path": "/bin/false"}], "poststop": hook("poststop")}}
        config = merge(shell("while :; do sleep 1; done", failing),
                       {"root": {"path": str(container.root())}})
        (container.bundle / "config.json").write_text(json.dumps(config))
        expect("prestart" in container.refused(), "the hook's failure")
        equal(log.read_text().split(), ["poststop"], "after the failure")
        container.nothing_is_left()


@full
def a_paused_container_and_its_own_groups_travel(work):
    mounts = [mount for mount in default_config()["mounts"] if mount["type"] != "cgroup"]
    mounts.append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                   "options": ["nosuid", "noexec", "nodev", "relatime"]})
    script = ("mkdir /sys/fs/cgroup/inner && echo 0 > /sys/fs/cgroup/inner/cgroup.procs; "
              "while :; do sleep 1; done")
    with Traveller(work, shell(script, {"mounts": mounts})) as container:
        time.sleep(2)
        equal(container.call("pause").returncode, 0, "pause")
        container.move()
        equal(container.state()["status"], "running", "after the restore")
        expect(container.group("inner/cgroup.procs").split(), "its own group is empty")
        equal(container.group("cgroup.procs").split(), [], "the outer group")


@full
def an_attached_restore_passes_the_exit_code_on(work):
    with Traveller(work, shell("while [ ! -e /end ]; do sleep 0.1; done; exit 7")) as container:
        container.checkpoint()
        container.delete()
        (container.root() / "end").write_text("")
        done = container.start("restore", "--image-path", container.images)
        equal(done.returncode, 7, done.stderr)
        container.nothing_is_left()


@full
def an_apparmor_profile_is_the_same(work):
    if "apparmor" not in pathlib.Path("/sys/kernel/security/lsm").read_text():
        raise Skip("AppArmor is not in force")
    profile = work.directory / "profile"
    profile.write_text("profile traveller flags=(attach_disconnected, mediate_deleted) {\n"
                       "  file,\n  capability,\n  signal,\n  network,\n  ptrace,\n"
                       "  deny /etc/passwd r,\n}\n")
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache", str(profile)], check=True)
    config = shell("while :; do sleep 1; done", {"process": {"apparmorProfile": "traveller"}})
    with Traveller(work, config) as container:
        container.move()
        label = pathlib.Path(f"/proc/{container.state()['pid']}/attr/current").read_text()
        equal(label, "traveller (enforce)\n", "label")


@full
def podman_checkpoints_and_restores(work):
    with PodmanHost(work.runtime) as podman:
        def lines():
            return [line.split() for line in podman.run("logs", "traveller").splitlines()
                    if len(line.split()) == 2]
        def wait_for_more_than(count):
            deadline = time.monotonic() + 120
            while len(lines()) <= count:
                expect(time.monotonic() < deadline, f"only {count} lines come")
                time.sleep(1)
        podman.run("run", "-d", "--name", "traveller", "--network", "none", podman.image, "sh", "-c",
                   COUNTER, timeout=PATIENCE)
        wait_for_more_than(0)
        podman.run("container", "checkpoint", "--keep", "traveller", timeout=PATIENCE)
        said = podman.run("inspect", "--format", "{{.State.Status}}", "traveller")
        equal(said, "exited", "after the checkpoint")
        before = lines()
        podman.run("container", "restore", "--keep", "traveller", timeout=PATIENCE)
        wait_for_more_than(len(before))
        after = lines()
        equal({word for word, _ in after}, {before[0][0]}, "the word in its memory")
        equal([int(number) for _, number in after], list(range(1, len(after) + 1)), "the count")


if __name__ == "__main__":
    sys.exit(main(suite))
