"""A real systemd as process 1 of namespaces of its own, over the cgroup v2 hierarchy.

Everything of the host is read-only in there but a few file systems in memory, so that what systemd
does at its start (cleaning /tmp, say) stays inside.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from support.harness import Skip

SYSTEMD = "/lib/systemd/systemd"
# Shared folders that tests read from the outside stay what they are: bound before / is read-only.
START = r"""
set -e
mount --make-rprivate /
for place in /run /var/tmp /var/log; do mount -t tmpfs tmpfs $place; done
mount --bind "$1" /mnt && mount -t tmpfs tmpfs /tmp && mkdir -p "$1" && mount --move /mnt "$1"
umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t proc proc /proc
mount -o remount,bind,ro /
mkdir -p /run/systemd/system
printf '[Unit]\nDefaultDependencies=no\n' > /run/systemd/system/quiet.target
export container=test
exec {systemd} --system --unit=quiet.target --log-target=null
"""


def unified_mount():
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            if " - cgroup2 " in line:
                return pathlib.Path(line.split(" ")[4])
    raise Skip("no cgroup v2 hierarchy is mounted")


class Systemd:
    """A context manager; `work` is the directory that inside and outside share."""

    def __init__(self, work):
        for program in (SYSTEMD, "/usr/bin/systemctl"):
            if not os.access(program, os.X_OK):
                raise Skip(f"{program} is not installed")
        self.work = work
        self.group = unified_mount() / f"bulkhead-systemd-{os.getpid()}"
        self.process = None
        self.init = None

    def __enter__(self):
        self.group.mkdir()

        def join():
            (self.group / "cgroup.procs").write_text("0", encoding="utf-8")
        self.process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--cgroup", "--propagation",
             "private", "sh", "-c", START.replace("{systemd}", SYSTEMD), "sh", str(self.work)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            preexec_fn=join)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Skip("systemd does not start in namespaces here: "
                           + self.process.stderr.read().strip()[-200:])
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            with contextlib.suppress(OSError, IndexError):
                self.init = int(children.read_text(encoding="utf-8").split()[0])
                if self.call("systemctl", "is-system-running").stdout.strip() in (
                        "running", "degraded", "starting"):
                    return
            time.sleep(0.1)
        raise Skip("systemd does not come up in namespaces here")

    def __exit__(self, *_):
        if self.process.poll() is None:
            if self.init:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.init, signal.SIGKILL)
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        for _ in range(100):
            for directory, _, _ in sorted(os.walk(self.group), reverse=True):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
            if not self.group.exists():
                return
            time.sleep(0.05)

    def command(self, *arguments):
        return ["nsenter", f"--target={self.init}", "--mount", "--pid", "--cgroup", "--",
                *map(str, arguments)]

    def call(self, *arguments, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.command(*arguments), capture_output=True, text=True,
                              timeout=60, check=False, **more)

    def shown(self, unit, *properties):
        """The unit's properties as systemd has them."""
        done = self.call("systemctl", "show", unit, *(f"--property={name}" for name in properties))
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def inside(self, *parts):
        """A path beneath the root of the hierarchy as systemd sees it."""
        return self.group.joinpath(*parts)


@contextlib.contextmanager
def shared_directory():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-test-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
