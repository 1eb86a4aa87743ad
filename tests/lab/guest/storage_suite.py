#!/usr/bin/env python3
"""Snapshots and size limits on another kernel: project quotas, and EROFS images where the kernel mounts
block devices only."""

import os
import pathlib
import subprocess
import sys

from inside import BUILD, DISK, Suite, bulkhead, equal, expect, main
from support.harness import Skip

suite = Suite("storage")

MIB = 1 << 20
FILL = ("dd if=/dev/zero of=/big bs=1M count=48 2>&1; sync; wc -c </big; "
        "rm /big; mkdir /names; cd /names && seq 6000 | xargs touch 2>/dev/null; ls | wc -l")


def call(*words):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"{words}: {done.stderr}")
    return done.stdout


class QuotaDisk:
    """A file system of its own on the disk, with project quotas in force."""

    def __init__(self, kind):
        self.kind = kind
        self.place = DISK / f"{kind}-disk"

    def __enter__(self):
        image = DISK / f"{self.kind}.image"
        with open(image, "wb") as file:
            file.truncate(400 * MIB)
        if self.kind == "ext4":
            call("mkfs.ext4", "-q", "-F", "-O", "quota,project", "-E", "quotatype=prjquota", image)
        else:
            if not os.path.exists("/usr/sbin/mkfs.xfs"):
                raise Skip("mkfs.xfs is not installed")
            call("mkfs.xfs", "-q", "-f", image)
        self.place.mkdir()
        call("mount", "-o", "loop,prjquota", image, self.place)
        return self.place

    def __exit__(self, *_):
        call("umount", self.place)
        (DISK / f"{self.kind}.image").unlink()


def run(store, *arguments):
    return bulkhead("--root", store, "--runroot", "/run/storage-suite", "run", *arguments)


def limits_of_projects(place):
    """Projects with a limit, by repquota: a line for each, `#ID -- used soft hard ...`."""
    text = call("repquota", "-P", "-n", "-v", place)
    return [line for line in text.splitlines() if line.startswith("#") and
            (int(line.split()[3]), int(line.split()[4])) != (0, 0)]


def quota_holds(kind):
    with QuotaDisk(kind) as place:
        store = place / "store"
        free = run(store, "--rm", "busybox", "sh", "-c", FILL)
        equal(free.stdout.split()[-2:], [str(48 * MIB), "6000"], f"without a limit: {free}")
        text = bulkhead("--root", store, "explain", "run", "--storage-opt", "size=16m", "busybox")
        expect("project quota" in text.stdout, text)
        held = run(store, "--rm", "--storage-opt", "size=16m", "busybox", "sh", "-c", FILL)
        expect("No space left" in held.stdout or "quota exceeded" in held.stdout, held)
        size, names = map(int, held.stdout.split()[-2:])
        expect(8 * MIB <= size <= 16 * MIB, f"bytes: {held.stdout}")
        expect(1000 < names < 6000, f"names: {held.stdout}")
        equal(run(store, "--name", "kept", "--storage-opt", "size=16m", "--storage-opt",
                  "limit=quota", "busybox", "true").returncode, 0)
        equal(len(limits_of_projects(place)), 1, "limits, of a container that is kept")
        equal(bulkhead("--root", store, "rm", "kept").returncode, 0)
        equal(limits_of_projects(place), [], "limits that stay")


@suite.test
def ext4s_project_quota_limits_bytes_and_names(_):
    quota_holds("ext4")


@suite.test
def xfs_project_quota_limits_bytes_and_names(_):
    quota_holds("xfs")


@suite.test
def an_image_file_limits_where_there_is_no_quota(_):
    held = bulkhead("run", "--rm", "--storage-opt", "size=16m", "busybox", "sh", "-c", FILL)
    expect("No space left" in held.stdout, held)
    equal(list(pathlib.Path("/sys/block").glob("loop*/loop/backing_file")), [], "loop devices")


@suite.test
def erofs_images_mount_whatever_the_kernel_takes(_):
    for more in ((), ("--storage-opt", "directio")):
        done = bulkhead("run", "--rm", "--storage", "erofs", *more, "busybox", "sh", "-c",
                        "stat -c %u:%g /bin/busybox; echo x >/etc/new; cat /etc/new")
        equal((done.returncode, done.stdout), (0, "0:0\nx\n"), f"{more}: {done.stderr}")
    equal(list(pathlib.Path("/sys/block").glob("loop*/loop/backing_file")), [], "loop devices")


@suite.test
def the_unit_tests_hold_on_this_kernel(_):
    program = BUILD / "src/storage/storage_test"
    if not program.exists():
        raise Skip(f"{program} is not built")
    done = subprocess.run([program, "--gtest_brief=1"], capture_output=True, text=True, check=False,
                          env=dict(os.environ, TMPDIR=str(DISK)), timeout=240)
    expect(done.returncode == 0, done.stdout[-900:])


if __name__ == "__main__":
    subprocess.run(["modprobe", "-a", "loop", "quota_v2"], check=False)
    sys.exit(main(suite))
