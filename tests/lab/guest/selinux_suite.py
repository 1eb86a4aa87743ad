#!/usr/bin/env python3
"""SELinux, enforcing the lab's own small policy: the labels of processes and mounts as they are seen
from inside, and what they deny."""

import os
import pathlib
import subprocess
import sys

from inside import DISK, Suite, bulkhead, default_config, equal, expect, main, merge

suite = Suite("selinux")
PROCESS = "system_u:system_r:container_t:s0:c1,c2"
FILES = "system_u:object_r:container_file_t:s0:c1,c2"
HOST = "system_u:system_r:host_t:s0"
OWN = "cat /proc/self/attr/current | tr -d '\\0'; echo"


def shell(work, script, label=PROCESS, mount_label=FILES, **changes):
    return work.shell(script, merge({"process": {"selinuxLabel": label},
                                     "linux": {"mountLabel": mount_label}}, changes))


@suite.test
def the_host_enforces(_):
    equal(pathlib.Path("/sys/fs/selinux/enforce").read_text(), "1", "enforcing")
    expect("host_t" in pathlib.Path("/proc/self/attr/current").read_text(), "our own label")


@suite.test
def the_process_has_its_label(work):
    equal(shell(work, OWN).stdout.strip(), PROCESS, "with no new privileges")
    done = shell(work, OWN, process={"selinuxLabel": PROCESS, "noNewPrivileges": False})
    equal(done.stdout.strip(), PROCESS, f"without: {done.stderr}")
    done = bulkhead("run", "--rm", "--security-opt", "label=type:container_t",
                    "--security-opt", "label=level:s0:c1,c2", "busybox", "sh", "-c", OWN)
    equal(done.stdout.strip(), PROCESS, f"bulkhead run: {done.stderr}")


@suite.test
def the_mounts_that_are_made_for_it_have_theirs(work):
    done = shell(work, "cat /proc/self/mountinfo")
    labelled = {line.split()[4] for line in done.stdout.splitlines()
                if f'context="{FILES}"' in line}
    expect({"/dev", "/dev/pts", "/dev/shm", "/sys/firmware"} <= labelled,
           f"labelled: {labelled} {done.stderr}")


@suite.test
def it_writes_where_its_label_may_and_nowhere_else(work):
    script = "echo x > /dev/shm/mine && echo mine; echo x > /etc/theirs && echo ESCAPED; true"
    held = shell(work, script)
    equal(held.stdout, "mine\n", held.stderr)
    expect("Permission denied" in held.stderr, held.stderr)
    free = shell(work, script, label=HOST)
    expect("ESCAPED" in free.stdout, f"the control, with the host's label, is stopped: {free.stderr}")
    done = shell(work, script, mount_label="")
    equal(done.stdout, "", f"without a mount label nothing is the container's: {done.stderr}")


@suite.test
def a_volume_is_written_when_it_is_labelled_for_it(work):
    theirs, ours = (DISK / name for name in ("theirs", "ours"))
    for place in (theirs, ours):
        place.mkdir(exist_ok=True)
    os.setxattr(ours, "security.selinux", FILES.encode())
    mounts = default_config()["mounts"] + [
        {"destination": f"/{place.name}", "type": "bind", "source": str(place), "options": ["bind"]}
        for place in (theirs, ours)]
    script = "touch /ours/x && echo ours; touch /theirs/x && echo ESCAPED; true"
    equal(shell(work, script, mounts=mounts).stdout, "ours\n", "confined")
    expect("ESCAPED" in shell(work, script, label=HOST, mounts=mounts).stdout,
           "the control, with the host's label, is stopped")
    equal(os.getxattr(ours / "x", "security.selinux"), FILES.encode() + b"\0", "label of its file")


@suite.test
def exec_takes_the_label_too(work):
    name, config = work.new_id(), merge(default_config(["sleep", "1000"]),
                                        {"process": {"selinuxLabel": PROCESS}})
    with open(work.directory / "out", "w", encoding="utf-8") as out:
        subprocess.run(work.command("run", "--detach", "--bundle", work.bundle(config), name),
                       stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True, timeout=60)
    try:
        done = work.call("exec", name, "sh", "-c", OWN)
        equal(done.stdout.strip(), PROCESS, f"exec: {done.stderr}")
    finally:
        equal(work.call("delete", "--force", name).returncode, 0, "delete")


@suite.test
def labels_that_the_policy_does_not_know_are_errors(work):
    for changes in ({"label": "system_u:system_r:no_such_t:s0"},
                    {"mount_label": "system_u:object_r:no_such_t:s0"}):
        done = shell(work, "echo ran", **changes)
        equal((done.returncode, done.stdout), (1, ""), f"{changes}: {done.stderr}")
        expect("no_such_t" in done.stderr, f"{changes}: {done.stderr}")


if __name__ == "__main__":
    sys.exit(main(suite))
