#!/usr/bin/env python3
"""Races: a neighbour who shares the root file system exchanges what the runtime is about to open for a
link to the host, over and over, while containers are made. 10,000 starts against each with
BULKHEAD_FULL=1. Each has a naive stand-in, which looks and then opens by path, and has to lose."""

import contextlib
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from attack import GUEST, canaries, capabilities, listing_of, main, run_in
from support.bundles import FULL, default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("escape race")
ROUNDS = 10_000 if FULL else 60


@contextlib.contextmanager
def swapped(one, other):
    """Two names that change places all the time."""
    swapper = subprocess.Popen([GUEST, "swap", str(one), str(other), "100000"])
    try:
        yield swapper
    finally:
        swapper.kill()
        swapper.wait()


@contextlib.contextmanager
def stopped(swapper):
    """A moment in which the names stay where they are."""
    swapper.send_signal(signal.SIGSTOP)
    os.waitpid(swapper.pid, os.WUNTRACED)
    try:
        yield
    finally:
        swapper.send_signal(signal.SIGCONT)


def loses(naive):
    """The control: sooner or later the naive stand-in is led astray."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if naive():
                return
    expect(False, "the control never loses the race")


def opened_by_path(path, is_good):
    """Whether what was looked at is another thing than what was opened."""
    if not is_good(os.lstat(path)):
        return False
    file = os.open(path, os.O_PATH)
    try:
        return not is_good(os.fstat(file))
    finally:
        os.close(file)


def starts(work, root, config, check):
    """Containers, each of which may be refused and must not go astray; some of them have to run."""
    ran = 0
    for number in range(ROUNDS):
        done = run_in(work, root, config, timeout=60)
        ran += done.returncode == 0
        check(done, f"start {number}")
    print(f"{ran} of {ROUNDS} starts went through")


def without_mounts_at(config, *places):
    config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] not in places]
    return config


def root_with_own_dev(work):
    root = work.own_root()
    shutil.rmtree(root / "dev", ignore_errors=True)
    (root / "dev").mkdir()
    return root


@suite.test
def cve_2021_30465_a_mount_point_that_is_swapped_leads_nowhere(work):
    outside = canaries(work)
    shared = work.own_root()
    (shared / "volume/place").mkdir(parents=True)
    (shared / "volume/trap").symlink_to(outside)
    source = canaries(work)
    config = default_config(["true"])
    config["mounts"].append({"destination": "/volume/place/inner", "type": "bind",
                             "source": str(source), "options": ["rbind", "ro"]})

    def check(_, which):
        equal(os.listdir(outside), ["file"], f"{which}: files in the host's directory")

    def naive():
        os.makedirs(shared / "volume/place/inner", exist_ok=True)
        return (outside / "inner").exists()

    with swapped(shared / "volume/place", shared / "volume/trap"):
        starts(work, shared, config, check)
        loses(naive)
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    expect(str(outside) not in mounts, "something was mounted on the host's directory")


@suite.test
def cve_2025_31133_a_null_device_that_is_swapped_masks_nothing_else(work):
    """What would be bound over a masked path is the image's /dev/null, and at times a file of the host."""
    outside = canaries(work)
    root = root_with_own_dev(work)
    os.mknod(root / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (root / "dev/trap").symlink_to(outside / "file")
    script = "stat -c %t:%T /proc/timer_list; echo ESCAPED > /proc/timer_list; true"
    config = default_config(["sh", "-c", script])
    without_mounts_at(config, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")

    def check(done, which):
        if done.returncode == 0:
            equal(done.stdout.strip(), "1:3", f"{which}: what masks a path ({done.stderr})")
        equal((outside / "file").read_text(), "untouched", f"{which}: the host's file")

    with swapped(root / "dev/null", root / "dev/trap"):
        starts(work, root, config, check)
        loses(lambda: opened_by_path(root / "dev/null", lambda it: stat.S_ISCHR(it.st_mode)))


@suite.test
def cve_2025_52565_a_console_that_is_swapped_is_no_file_of_the_host(work):
    outside = canaries(work)
    root = root_with_own_dev(work)
    (root / "dev/pts").mkdir()
    (root / "dev/console").write_text("")
    (root / "dev/trap").symlink_to(outside / "file")
    config = merge(default_config(["sh", "-c", "echo ESCAPED > /dev/console; true"]),
                   {"process": {"terminal": True}})
    without_mounts_at(config, "/dev", "/dev/shm", "/dev/mqueue")

    names = (root / "dev/console", root / "dev/trap")

    def check(_, which):
        equal((outside / "file").read_text(), "untouched", f"{which}: the host's file")
        with stopped(neighbour):
            # A link that the runtime met was removed: the neighbour lays another.
            if sorted(name.is_symlink() for name in names) != [False, True]:
                for name in names:
                    name.unlink(missing_ok=True)
                names[0].write_text("")
                names[1].symlink_to(outside / "file")

    with swapped(*names) as neighbour:
        starts(work, root, config, check)
        loses(lambda: opened_by_path(root / "dev/console", lambda it: stat.S_ISREG(it.st_mode)
                                     and it.st_ino != (outside / "file").stat().st_ino))


@suite.test
def cve_2025_52881_a_procfs_that_is_swapped_takes_no_writes_elsewhere(work):
    """The parameters and the score that the runtime writes beneath /proc."""
    outside = canaries(work)
    files = ("sys/kernel/shm_rmid_forced", "self/oom_score_adj", "thread-self/attr/exec", "self/attr/exec")
    for name in files:
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_text("untouched")
    before = listing_of(outside)
    root = work.own_root()
    (root / "proc").mkdir(exist_ok=True)
    (root / "trap").symlink_to(outside)
    script = "cat /proc/sys/kernel/shm_rmid_forced /proc/self/oom_score_adj"
    config = merge(default_config(["sh", "-c", script]),
                   {"process": {"oomScoreAdj": 321}, "linux": {"sysctl": {"kernel.shm_rmid_forced": "1"}}})

    def check(done, which):
        equal(listing_of(outside), before, f"{which}: files on the host")
        for name in files:
            equal((outside / name).read_text(), "untouched", f"{which}: {name}")
        if done.returncode == 0:
            equal(done.stdout.split(), ["1", "321"], f"{which}: what the kernel has ({done.stderr})")

    with swapped(root / "proc", root / "trap"):
        starts(work, root, config, check)
        loses(lambda: opened_by_path(root / "proc", lambda it: stat.S_ISDIR(it.st_mode)
                                     and it.st_ino != outside.stat().st_ino))


@suite.test
def cve_2026_41579_a_dev_that_is_swapped_gets_no_device_elsewhere(work):
    outside = canaries(work)
    root = root_with_own_dev(work)
    (root / "trap").symlink_to(outside)
    config = merge(default_config(["true"]), capabilities("CAP_MKNOD"))
    without_mounts_at(config, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")

    def check(_, which):
        equal(listing_of(outside), ["file"], f"{which}: files on the host")

    def naive():
        if stat.S_ISDIR(os.lstat(root / "dev").st_mode):
            (root / "dev/made").touch()
        return (outside / "made").exists()

    with swapped(root / "dev", root / "trap"):
        starts(work, root, config, check)
        loses(naive)


if __name__ == "__main__":
    sys.exit(main(suite))
