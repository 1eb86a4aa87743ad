"""A mount and a network namespace in which an engine's daemon runs apart from the machine's: no rule
of its firewall, no bridge and no mount of it reaches the host. The cgroup hierarchies are the host's, so
that limits are read from the kernel; the groups have a name of their own and are removed."""

import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import tempfile
import time

PREPARE = """
set -e
mount -t tmpfs -o size=2g,mode=755 tmpfs {data}
mount -t tmpfs -o size=64m,mode=755 tmpfs /run
ip link set lo up
echo ready
exec sleep infinity
"""


class Enclosure:
    """Everything that it made is gone after close()."""

    def __init__(self, name):
        # No "_" in the name: containerd takes it for its own namespaces only inside a word.
        self.directory = pathlib.Path(tempfile.gettempdir()) / f"bulkhead-{name}-{secrets.token_hex(4)}"
        self.directory.mkdir(mode=0o700)
        self.directory.chmod(0o711)  # containers in user namespaces pass through
        self.name = self.directory.name  # of cgroups and namespaces
        self.data = self.directory / "data"
        self.data.mkdir()
        self.daemons = []
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "bash", "-c",
             PREPARE.format(data=self.data)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            reason = self.holder.communicate(timeout=10)[1]
            shutil.rmtree(self.directory, ignore_errors=True)
            raise AssertionError(f"namespaces for an engine: {reason}")

    def command(self, *words):
        """The command line that runs these words inside."""
        return ["nsenter", "--target", str(self.holder.pid), "--mount", "--net",
                f"--wd={self.directory}", "--", *map(str, words)]

    def call(self, *words, timeout=60, **options):
        return subprocess.run(self.command(*words), text=True, errors="replace", capture_output=True,
                              timeout=timeout, check=False, **options)

    def mounts(self):
        """The mount points inside."""
        lines = pathlib.Path(f"/proc/{self.holder.pid}/mountinfo").read_text().splitlines()
        return {line.split(" ")[4] for line in lines}

    def start(self, ready, *words, seconds=120, environment=None):
        """A daemon, once ready() is true; its output goes to a log that an error quotes."""
        log = self.directory / f"{pathlib.Path(words[0]).name}.log"
        with log.open("ab") as output:
            daemon = subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=output,
                                      stderr=output, env=environment, start_new_session=True)
        deadline = time.monotonic() + seconds
        while not ready():
            if daemon.poll() is not None or time.monotonic() > deadline:
                self._end(daemon)
                raise AssertionError(f"{words[0]} does not answer: {log.read_text()[-900:]}")
            time.sleep(0.05)
        self.daemons.append(daemon)
        return daemon

    def stop(self, daemon):
        self.daemons.remove(daemon)
        self._end(daemon)

    @staticmethod
    def _end(daemon):
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(timeout=20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def processes(self):
        """The processes of the mount namespace, without its holder."""
        space = os.readlink(f"/proc/{self.holder.pid}/ns/mnt")
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.holder.pid:
                try:
                    if os.readlink(entry / "ns/mnt") == space:
                        found.append(int(entry.name))
                except OSError:
                    pass
        return found

    def groups(self):
        """The cgroups under our name, deepest first."""
        found = []
        for hierarchy in pathlib.Path("/sys/fs/cgroup").iterdir():
            for directory, _, _ in os.walk(hierarchy / self.name):
                found.append(directory)
        if (pathlib.Path("/sys/fs/cgroup") / self.name).is_dir():
            found += [directory for directory, _, _ in os.walk(f"/sys/fs/cgroup/{self.name}")]
        return sorted(found, key=len, reverse=True)

    def close(self):
        for daemon in reversed(self.daemons):
            self._end(daemon)
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.holder.kill()
        self.holder.communicate()
        for group in self.groups():
            try:
                os.rmdir(group)
            except OSError:
                pass
        shutil.rmtree(self.directory, ignore_errors=True)
