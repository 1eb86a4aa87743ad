"""What the benchmarks run on: root file system, the engine's spec, mount namespaces, peers."""

import contextlib
import glob
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BULKHEAD_BUILD", ROOT / "build" / "release"))
GROUP = "bulkhead-bench"


class Unavailable(Exception):
    """Something that a benchmark needs is not there."""


def command(*arguments, **options):
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True,
                          text=True, errors="replace", **options)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(map(str, arguments))}: {done.stderr.strip()[-600:]}")
    return done.stdout.strip()


def hierarchies():
    """The mount points of the v1 hierarchies, and of the v2 one or nothing."""
    v1, v2 = [], None
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            left, right = line.split(" - ")
            kind, point = right.split(" ")[0], left.split(" ")[4]
            if kind == "cgroup":
                v1.append(point)
            elif kind == "cgroup2":
                v2 = point
    return v1, v2


class Machine:
    """Everything temporary. Use as a context manager."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
        # What runtimes keep in /run, which is a tmpfs on every installed system.
        shared = "/dev/shm" if os.path.ismount("/dev/shm") else None
        self.run_directory = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-", dir=shared))
        self.v1, self.v2 = hierarchies()
        self._holder = None
        self.image = BUILD / "share" / "bulkhead" / "images" / "busybox.tar"
        self.rootfs = self.directory / "rootfs"
        self.containers_conf = self.directory / "containers.conf"
        self.containers_conf.write_text(
            '[containers]\ndefault_ulimits=["nofile=20000:20000","nproc=4096:4096"]\n'
            '[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\n', encoding="utf-8")
        os.environ["CONTAINERS_CONF"] = str(self.containers_conf)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._holder:
            self._holder.terminate()
            self._holder.wait()
        with contextlib.suppress(OSError):
            for mount in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
                point = mount.split(" ")[4]
                if point.startswith((str(self.directory), str(self.run_directory))):
                    subprocess.run(["umount", "-l", point], check=False, capture_output=True)
        for hierarchy in [*self.v1, *([self.v2] if self.v2 else [])]:
            for group in (GROUP, "libpod_parent"):
                for directory, _, _ in sorted(os.walk(f"{hierarchy}/{group}"), reverse=True):
                    with contextlib.suppress(OSError):
                        os.rmdir(directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.run_directory, ignore_errors=True)

    def without_v2(self):
        """A mount namespace without the v2 hierarchy beside v1 ones, which crun refuses."""
        if not (self.v1 and self.v2):
            return "-"
        if not self._holder:
            self._holder = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", f"umount {self.v2} && echo ready && exec sleep 86400"],
                stdout=subprocess.PIPE, text=True)
            if self._holder.stdout.readline() != "ready\n":
                raise Unavailable("the v2 hierarchy cannot be unmounted in a mount namespace")
        return f"/proc/{self._holder.pid}/ns/mnt"

    def inside(self, namespace):
        """The words before a command that is to run in `namespace`."""
        return [] if namespace == "-" else ["nsenter", f"--mount={namespace}", "--"]

    def unpack_rootfs(self):
        if self.rootfs.exists():
            return
        layout = self.directory / "layout"
        with tarfile.open(self.image) as archive:
            archive.extractall(layout)

        def blob(descriptor):
            return layout / "blobs" / descriptor["digest"].replace(":", "/")

        index = json.loads((layout / "index.json").read_text(encoding="utf-8"))
        manifest = json.loads(blob(index["manifests"][0]).read_text(encoding="utf-8"))
        self.rootfs.mkdir()
        for layer in manifest["layers"]:
            command("tar", "-xzf", blob(layer), "-C", self.rootfs)

    def podman(self):
        """podman with a store of its own."""
        if not shutil.which("podman"):
            raise Unavailable("podman is not installed")
        return ["podman", "--root", str(self.directory / "podman"), "--runroot",
                str(self.run_directory / "podman"), "--cgroup-manager", "cgroupfs",
                "--events-backend", "file", "--tmpdir", str(self.directory / "podman-tmp")]

    def podman_image(self):
        command(*self.podman(), "pull", "-q", f"oci-archive:{self.image}")
        return command(*self.podman(), "images", "-q").split()[0]

    def engine_spec(self):
        """The config.json that podman writes, on a root and with bind sources of our own.

        A cgroup namespace is asked for, as it is podman's default on cgroup v2. Resource limits
        and the seccomp profile are podman's.
        """
        podman, inside = self.podman(), self.inside(self.without_v2())
        image = self.podman_image()
        container = command(*podman, "create", "--network", "none", "--cgroupns", "private", image,
                            "true").splitlines()[-1]
        try:
            command(*inside, shutil.which("podman"), *podman[1:], "init", container)
            found = glob.glob(f"{self.directory}/podman/*-containers/{container}/userdata/config.json")
            spec = json.loads(pathlib.Path(found[0]).read_text(encoding="utf-8"))
            shared = self.directory / "shared-with-container"
            shared.mkdir()
            for mount in spec["mounts"]:
                if mount["type"] != "bind":
                    continue
                copy = shared / mount["source"].split("/")[-1]
                if os.path.isdir(mount["source"]):
                    copy.mkdir()
                else:
                    shutil.copy(mount["source"], copy)
                mount["source"] = str(copy)
        finally:
            subprocess.run([*inside, *podman, "rm", "-f", "-t", "0", container],
                           capture_output=True, check=False)
        for namespace in spec["linux"]["namespaces"]:
            namespace.pop("path", None)
        spec["root"]["path"] = str(self.rootfs)
        spec["linux"]["cgroupsPath"] = f"/{GROUP}/engine"
        spec["process"]["args"] = ["/bin/true"]
        spec.pop("hooks", None)
        return spec

    def bundle(self, name, spec):
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        (directory / "config.json").write_text(json.dumps(spec), encoding="utf-8")
        return directory

    def state_directory(self, name):
        directory = self.run_directory / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory


def quiet_down():
    """A moment for what the previous benchmark left to the kernel (network namespaces die late)."""
    time.sleep(0.5)
