"""Bundles, state roots and a look at what a runtime has left on the host. For all suites."""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import time

from support.area import settle

settle(os.environ)
BUILD = pathlib.Path(os.environ["BULKHEAD_BUILD"])
BULKHEAD = os.environ["BULKHEAD"]
RUNTIME = os.environ["BULKHEAD_RUNTIME"]
FULL = os.environ.get("BULKHEAD_FULL") == "1"
NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup")


def image_file():
    return os.environ.get("BULKHEAD_IMAGE") or str(BUILD / "share/bulkhead/images/busybox.tar")


def unpack_busybox(target):
    """The root file system of the embedded image."""
    with tarfile.open(image_file()) as image:
        index = json.load(image.extractfile("index.json"))
        def blob(digest):
            return image.extractfile("blobs/" + digest.replace(":", "/"))
        manifest = json.load(blob(index["manifests"][0]["digest"]))
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=blob(layer["digest"])) as content:
                content.extractall(target)


def default_config(args=("true",), **changes):
    """A configuration as an engine writes it, without the noise."""
    config = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "args": list(args), "cwd": "/",
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
            "capabilities": {kind: ["CAP_KILL", "CAP_NET_BIND_SERVICE"]
                             for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": True},
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "container",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}],
        "linux": {
            "resources": {"pids": {"limit": 100}, "memory": {"limit": 256 << 20}},
            "namespaces": [{"type": kind} for kind in NAMESPACES],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                              "/proc/sysrq-trigger"]}}
    config.update(changes)
    return config


def merge(config, changes):
    """Changes nested dictionaries; None takes a key away."""
    for key, value in changes.items():
        if value is None:
            config.pop(key, None)
        elif isinstance(value, dict) and isinstance(config.get(key), dict):
            merge(config[key], value)
        else:
            config[key] = value
    return config


class Workshop:
    """A temporary directory with a root file system, and a state root. A context manager."""

    def __init__(self, runtime=None):
        self.runtime = runtime or RUNTIME
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-test-"))
        self.state = self.directory / "state"
        self.rootfs = self.directory / "rootfs"
        self.rootfs.mkdir()
        self.numbers = itertools.count(1)

    def with_runtime(self, runtime):
        """The same workshop for another runtime."""
        other = Workshop.__new__(Workshop)
        other.__dict__.update(self.__dict__, runtime=str(runtime))
        return other

    def own_root(self):
        """A copy of the root file system, which a test may spoil."""
        root = self.directory / f"root{next(self.numbers)}"
        subprocess.run(["cp", "-a", str(self.rootfs), str(root)], check=True)
        return root

    def __enter__(self):
        unpack_busybox(self.rootfs)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            for name in os.listdir(self.state):
                self.call("delete", "--force", name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def bundle(self, config, own_root=False):
        """A directory with config.json; the root is shared unless the test writes to it."""
        bundle = self.directory / f"bundle{next(self.numbers)}"
        bundle.mkdir()
        if config.get("root", {}).get("path") == "rootfs":
            root = self.own_root() if own_root else self.rootfs
            config = merge(json.loads(json.dumps(config)), {"root": {"path": str(root)}})
        (bundle / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return bundle

    def new_id(self):
        return f"test-{os.getpid()}-{next(self.numbers)}"

    def command(self, *arguments):
        return [self.runtime, "--root", str(self.state), *map(str, arguments)]

    def call(self, *arguments, timeout=60, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.command(*arguments), capture_output=True, text=True,
                              errors="replace", timeout=timeout, **options)

    def run(self, config, own_root=False, options=(), **more):
        """`run` of a configuration: the finished process."""
        bundle = self.bundle(config, own_root)
        return self.call("run", "--bundle", bundle, *options, self.new_id(), **more)

    def shell(self, script, changes=None, **more):
        """Runs a shell script in a container: the finished process."""
        config = merge(default_config(["sh", "-c", script]), changes or {})
        return self.run(config, **more)


class Traces:
    """What is on the host now; leftovers() says what has come since."""

    def __init__(self, marker):
        self.marker = marker
        self.before = self._look()

    def _look(self):
        groups = {directory for directory, _, _ in os.walk("/sys/fs/cgroup")
                  if self.marker in directory}
        mounts = {line.split(" ", 5)[4] for line in
                  pathlib.Path("/proc/self/mountinfo").read_text().splitlines()}
        return groups, mounts, set(processes_of(self.marker))

    def leftovers(self, seconds=30):
        """A list of texts, empty when all is gone within the time (the kernel ends processes and
        namespaces behind the scenes)."""
        deadline = time.monotonic() + seconds
        while True:
            groups, mounts, running = self._look()
            left = [f"cgroup {path}" for path in sorted(groups - self.before[0])]
            left += [f"mount {path}" for path in sorted(mounts - self.before[1])]
            left += [f"process {text}" for text in sorted(running - self.before[2])]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.02)


def processes_of(marker):
    """Processes in a group or with a command line that names the marker."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        try:
            group = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
            line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z" and (marker in group or marker.encode() in line):
            yield f"{pid} {line.decode(errors='replace').strip()}"
