"""Bringing an image of a realistic size into a store: from a registry on loopback (`pull`) and from a
layout on this machine (`unpack`), or to a registry (`push`), beside other engines. Everything lies on
tmpfs. What is counted is the whole work: the daemons' CPU time and memory with the client's."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

import layer_image
from machine import BUILD, Unavailable

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engines"))
from enclosure import Enclosure  # noqa: E402

OURS = "bulkhead"
REGISTRY = "127.0.0.1:5000"
REGISTRY_CONFIGURATION = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:5000"}}
"""


@dataclasses.dataclass
class Candidate:
    """`command` and `cleanup` run in the enclosure, as lists of words."""
    name: str
    command: list
    cleanup: list


@dataclasses.dataclass
class Run:
    seconds: float
    cpu: float


class Images:
    """Registry, daemons and stores, in one enclosure. Use as a context manager."""

    def __init__(self, machine, layouts):
        self.layouts = layouts
        self.enclosure = Enclosure("images")
        try:
            self.data = self.enclosure.data
            self.containers_conf = machine.containers_conf
            self.work = machine.run_directory / "images"
            self.work.mkdir(exist_ok=True)
            self.start_daemons()
        except BaseException:
            self.enclosure.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.enclosure.close()

    def start_daemons(self):
        enclosure, data = self.enclosure, self.data
        self.docker = self.containerd = self.registry = None
        # What else runs on the machine should not decide the ratios: candidates and daemons alike go first.
        first = ["chrt", "--rr", "1"]
        self.first = first if enclosure.call(*first, "true").returncode == 0 else []
        for program, package in (("docker-registry", "docker-registry"), ("skopeo", "skopeo")):
            if not shutil.which(program):
                raise Unavailable(f"{program} is not installed (package {package})")
        configuration = self.work / "registry.yml"
        configuration.write_text(REGISTRY_CONFIGURATION.format(root=data / "registry"), encoding="utf-8")
        self.registry = enclosure.start(self.registry_answers, *self.first, "/usr/bin/docker-registry",
                                        "serve", configuration)
        if pathlib.Path("/usr/sbin/dockerd").exists():
            socket = f"unix://{enclosure.directory}/docker.sock"
            self.docker = ["/usr/bin/docker", "--host", socket]
            enclosure.start(lambda: enclosure.call(*self.docker, "version").returncode == 0,
                            *self.first, "/usr/sbin/dockerd", "--data-root", data / "docker", "--exec-root",
                            "/run/docker", "--pidfile", "/run/docker.pid", "--host", socket, "--log-level",
                            "error", "--iptables=false", "--bridge=none")
        if pathlib.Path("/usr/bin/containerd").exists():
            address = enclosure.directory / "containerd.sock"
            file = self.work / "containerd.toml"
            file.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n',
                            encoding="utf-8")
            self.containerd = ["/usr/bin/ctr", "--address", address, "--namespace", "bench"]
            enclosure.start(lambda: enclosure.call(*self.containerd, "version").returncode == 0,
                            *self.first, "/usr/bin/containerd", "--config", file, "--address", address,
                            "--root", data / "containerd", "--state", "/run/containerd", "--log-level",
                            "error")

    def registry_answers(self):
        connect = f"exec 3<>/dev/tcp/{REGISTRY.replace(':', '/')}"
        return self.enclosure.call("bash", "-c", connect).returncode == 0

    def push(self, key):
        """The layout into the registry, its layers as they are."""
        done = self.enclosure.call("skopeo", "copy", "-q", "--dest-tls-verify=false",
                                   f"oci:{self.layouts[key].path}:latest", f"docker://{self.reference(key)}",
                                   timeout=120)
        if done.returncode != 0:
            raise Unavailable(f"skopeo: {done.stderr.strip()[-300:]}")

    @staticmethod
    def reference(key):
        return f"{REGISTRY}/bench/{key[0]}:{key[1]}"

    def podman(self, *words):
        return ["podman", "--root", self.data / "podman", "--runroot", "/run/podman", "--storage-driver",
                "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--tmpdir",
                "/run/podman-tmp", *words]

    def pulling(self, key):
        reference, store = self.reference(key), self.data / "bulkhead"
        if self.docker:
            yield Candidate("docker", [*self.docker, "pull", "-q", reference],
                            [*self.docker, "rmi", "-f", reference])
        if self.containerd:
            yield Candidate("ctr", [*self.containerd, "images", "pull", "--plain-http", reference],
                            [*self.containerd, "images", "rm", "--sync", reference])
        if shutil.which("podman"):
            yield Candidate("podman", self.podman("pull", "-q", "--tls-verify=false", reference),
                            self.podman("rmi", "-f", reference))
        yield Candidate(OURS, [BUILD / "bin/bulkhead", "--root", store, "pull", "--quiet", reference],
                        ["rm", "-rf", store])

    def pushing(self, key):
        """Each pushes into a registry that has nothing: cleaning up empties it."""
        reference, store = self.reference(key), self.data / "bulkhead"
        ours = [BUILD / "bin/bulkhead", "--root", store]
        self.push(key)
        pulled = self.enclosure.call(*ours, "pull", "--quiet", reference, timeout=120)
        if pulled.returncode != 0:
            raise Unavailable(f"{OURS} pull: {pulled.stderr.strip()[-300:]}")
        empty = ["rm", "-rf", self.data / "registry/docker"]
        self.enclosure.call(*empty)
        yield Candidate("skopeo", ["skopeo", "copy", "-q", "--dest-tls-verify=false",
                                   f"oci:{self.layouts[key].path}:latest", f"docker://{reference}"], empty)
        yield Candidate(OURS, [*ours, "push", "--quiet", reference], empty)

    def unpacking(self, key):
        layout, store = self.layouts[key].path, self.data / "bulkhead"
        if self.containerd:
            archive = self.work / f"{key[0]}-{key[1]}.tar"
            if not archive.exists():
                subprocess.run(["tar", "cf", archive, "-C", layout, "."], check=True)
            yield Candidate("ctr", [*self.containerd, "images", "import", "--base-name", "bench", archive],
                            [*self.containerd, "images", "rm", "--sync", "bench:latest"])
        if shutil.which("podman"):
            yield Candidate("podman", self.podman("pull", "-q", f"oci:{layout}:latest"),
                            self.podman("rmi", "-a", "-f"))
        if shutil.which("umoci"):
            yield Candidate("umoci", ["umoci", "unpack", "--image", f"{layout}:latest", self.data / "umoci"],
                            ["rm", "-rf", self.data / "umoci"])
        yield Candidate("no engine: decompressor | tar", ["bash", "-ec", self.by_hand(key)],
                        ["rm", "-rf", self.data / "by-hand"])
        yield Candidate(OURS, ["bash", "-c", f"mkdir -m 700 {store} && exec {BUILD}/bin/bulkhead-unpack "
                                             f"{store} {layout}"], ["rm", "-rf", store])

    def by_hand(self, key):
        layout = self.layouts[key]
        blobs = " ".join(str(layout.path / "blobs/sha256" / layer) for layer in layout.layers)
        return (f"mkdir {self.data}/by-hand; cd {self.data}/by-hand; "
                f"for blob in {blobs}; do {key[0]} -dc <$blob | tar x; done")

    # --- measuring ---

    def daemon_ticks(self):
        ticks = 0
        for pid in self.enclosure.processes():
            with contextlib.suppress(OSError):
                text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
                ticks += sum(map(int, text.rsplit(")", 1)[1].split()[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def once(self, candidate, watch=None):
        words = self.enclosure.command(*self.first, *candidate.command)
        environment = dict(os.environ, CONTAINERS_CONF=str(self.containers_conf), HOME=str(self.work))
        before = self.daemon_ticks()
        start = time.monotonic()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, env=environment, text=True, errors="replace")
        if watch:
            watch(process)
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        cpu = usage.ru_utime + usage.ru_stime + self.daemon_ticks() - before
        cleaned = self.enclosure.call(*candidate.cleanup, env=environment, timeout=120)
        if process.returncode != 0:
            raise Unavailable(f"{candidate.name}: exit code {process.returncode}: {said.strip()[-300:]}")
        if cleaned.returncode != 0:
            raise Unavailable(f"{candidate.name} leaves its image behind: {cleaned.stderr.strip()[-300:]}")
        return Run(seconds, cpu)

    def peak_memory(self, candidate):
        """MiB: the most that the candidate's processes have together, shared pages once."""
        peak, done = 0, threading.Event()

        def watch(process):
            def sample():
                nonlocal peak
                with contextlib.suppress(OSError):  # before what it watches
                    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(2))
                while not done.is_set():
                    now = 0
                    for pid in {*self.enclosure.processes(), *descendants(process.pid)}:
                        if pid == self.registry.pid or not self.is_of(candidate, pid):
                            continue
                        with contextlib.suppress(OSError, IndexError):
                            now += proportional_set(pid)
                    peak = max(peak, now)
                    time.sleep(0.005)
            self.sampler = threading.Thread(target=sample)
            self.sampler.start()
        try:
            self.once(candidate, watch)
        finally:
            done.set()
            self.sampler.join()
        return peak / 1024

    @staticmethod
    def is_of(candidate, pid):
        """Whether the process is the candidate's, and not another engine's daemon."""
        name = pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() if os.path.exists(
            f"/proc/{pid}/comm") else ""
        daemons = {"dockerd": "docker", "containerd": "ctr"}
        if name in daemons:
            own = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            of_docker = name == "dockerd" or b"/run/docker/" in own
            return candidate.name == ("docker" if of_docker else "ctr")
        return True


def descendants(pid):
    """With the process itself; workers of Bulkhead's have mount namespaces of their own."""
    found = [pid]
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            children = pathlib.Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="utf-8")
            for child in children.split():
                found += descendants(int(child))
    return found


def proportional_set(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def table(images, title, candidates, rounds, size):
    print(f"### {title}\n")
    able = []
    for candidate in candidates:
        try:
            images.once(candidate)
            able.append(candidate)
        except Unavailable as error:
            print(f"> {candidate.name} is left out: {' '.join(str(error).split())}\n")
    runs = {candidate.name: [] for candidate in able}
    for _ in range(rounds):
        for candidate in able:
            runs[candidate.name].append(images.once(candidate))
    figures = {name: (statistics.median(run.seconds for run in of), statistics.median(run.cpu for run in of))
               for name, of in runs.items()}
    ours = figures.get(OURS)
    print("| | s | MB/s | CPU s | peak MiB | Bulkhead's throughput is | Bulkhead's CPU is |")
    print("|---|---|---|---|---|---|---|")
    for candidate in able:
        seconds, cpu = figures[candidate.name]
        beside = "| | |" if not ours or candidate.name == OURS else (
            f"| {seconds / ours[0]:.1f} × | {ours[1] / cpu:.2f} × |")
        print(f"| {candidate.name} | {seconds:.2f} | {size / 1e6 / seconds:.0f} | {cpu:.2f} "
              f"| {images.peak_memory(candidate):.0f} {beside}", flush=True)
    print()
    return figures


def run(benchmarks, kind):
    if not os.path.ismount("/dev/shm"):
        raise Unavailable("there is no tmpfs at /dev/shm")
    rounds = 2 if getattr(benchmarks.arguments, "quick", False) else 7
    layouts, (size, files) = layer_image.make(benchmarks.machine.run_directory / f"layouts-{kind}")
    print(f"An image of {size / 1e6:.0f} MB, {files} files; medians of {rounds} rounds in turn.\n")
    with Images(benchmarks.machine, layouts) as images:
        for how, count in layouts:
            key = (how, count)
            if kind == "pull":
                images.push(key)
            make = {"pull": images.pulling, "push": images.pushing, "unpack": images.unpacking}[kind]
            candidates = list(make(key))
            layers = "one layer" if count == 1 else f"{count} layers"
            found = table(images, f"{kind}, {how}, {layers}", candidates, rounds, size)
            for name, figures in found.items():
                benchmarks.report.results[f"{kind} {how} {count}", name] = figures
    shutil.rmtree(benchmarks.machine.run_directory / f"layouts-{kind}", ignore_errors=True)
