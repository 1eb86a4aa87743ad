"""What the suites of `bulkhead run` share."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import BUILD, Workshop
from support.harness import equal, expect

BULKHEAD = os.environ["BULKHEAD"]
GUEST = os.environ.get("BULKHEAD_GUEST") or str(BUILD / "tests/escape-guest")
DEFAULT_CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5,
                        "SETGID": 6, "SETUID": 7, "SETPCAP": 8, "NET_BIND_SERVICE": 10}
FORBIDDEN = {"NET_RAW": 13, "MKNOD": 27, "SYS_CHROOT": 18, "SETFCAP": 31, "AUDIT_WRITE": 29}
LIVE = "echo up $(hostname); while :; do sleep 0.05; done"


class Host:
    """An installation's store of its own."""

    def __init__(self, work):
        self.work = work
        self.directory = work.directory
        self.store = work.directory / "store"
        self.runroot = work.directory / "runroot"

    def command(self, *arguments):
        return [BULKHEAD, "--root", str(self.store), "--runroot", str(self.runroot),
                *map(str, arguments)]

    def call(self, *arguments, timeout=60, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.command(*arguments), capture_output=True, text=True,
                              errors="replace", timeout=timeout, check=False, **more)

    def run(self, *arguments, **more):
        return self.call("run", "--rm", *arguments, **more)

    def says(self, *arguments, **more):
        done = self.run(*arguments, **more)
        equal(done.returncode, 0, f"{arguments}: {done.stderr}")
        return done.stdout.strip()

    def clear_dead(self, seconds=60):
        """Until a process that has just lost its engine is dead, too, its container counts as one
        that runs, and is not cleared."""
        deadline = time.monotonic() + seconds
        while True:
            done = self.call("rm", "--dead")
            equal(done.returncode, 0, f"rm --dead: {done.stderr}")
            listed = self.containers()
            if not listed:
                return
            expect(time.monotonic() < deadline, f"containers that stay: {listed}")
            time.sleep(0.02)

    def containers(self):
        listed = self.call("ps", "--all", "--no-trunc", "--format", "json")
        equal(listed.returncode, 0, f"ps: {listed.stderr}")
        containers = []
        for row in map(json.loads, listed.stdout.splitlines()):
            container = {"id": row["ID"], "name": row["Names"], "image": row["Image"],
                         "status": row["State"], "storage": row["Storage"]}
            if row["SizeLimit"]:
                container.update(sizeLimit=int(row["SizeLimit"]), sizeLimitBy=row["SizeLimitBy"])
            containers.append(container)
        return containers


class Running:
    """`bulkhead run` in the background, and the kernel's view of it."""

    def __init__(self, host, *flags, script=LIVE, image="busybox", remove=True, **more):
        self.process = subprocess.Popen(
            host.command("run", *(["--rm"] if remove else []), *flags, image, "sh", "-c", script),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            **more)
        words = self.process.stdout.readline().split()
        if not words or words[0] != "up":
            self.process.kill()
            raise AssertionError(f"{flags}: {words} {self.process.stderr.read()}")
        self.hostname = words[1]

    def group(self, hierarchy):
        found = [path for path in
                 pathlib.Path(f"/sys/fs/cgroup/{hierarchy}/bulkhead").glob("*")
                 if (path / "cgroup.procs").exists() and self._is_ours(path)]
        expect(len(found) == 1, f"groups in {hierarchy}: {found}")
        return found[0]

    def _is_ours(self, path):
        for pid in (path / "cgroup.procs").read_text().split():
            try:
                # The first process is a child of `bulkhead run`.
                if int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1]
                       .split()[1]) == self.process.pid:
                    return True
            except OSError:
                continue
        return False

    def pid(self):
        for child in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children"
                                  ).read_text().split():
            return int(child)
        raise AssertionError("bulkhead run has no child")

    def status(self, key):
        text = pathlib.Path(f"/proc/{self.pid()}/status").read_text()
        return re.search(rf"^{key}:[ \t]*(.*)$", text, re.MULTILINE)[1].split()

    def limit(self, hierarchy, file):
        return (self.group(hierarchy) / file).read_text().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            for child in pathlib.Path(
                    f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
        self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()


def bits(*numbers):
    return sum(1 << number for number in numbers)


def main(suite):
    if os.geteuid() != 0:
        print("SKIP bulkhead — needs root")
        return 0
    with Workshop() as work:
        os.chmod(work.directory, 0o755)
        host = Host(work)
        code = suite.main(host)
        for container in host.containers():
            host.call("rm", "--force", container["id"])
        return code
