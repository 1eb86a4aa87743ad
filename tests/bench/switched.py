"""docker run, ctr run and podman run as their users type them, on this runtime and on each engine's default
one. What is timed is the whole command, the engine's part with it; the CPU time is the client's alone where
the engine is a daemon."""

import contextlib
import json
import os
import pathlib
import shutil
import sys

import bench
from machine import BUILD

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engines"))
OURS = os.environ.setdefault("BULKHEAD_RUNTIME", str(BUILD / "bin" / "bulkhead-runtime"))
os.environ.setdefault("BULKHEAD_BUILD", str(BUILD))


def docker(report):
    from docker_host import DockerHost
    with DockerHost(json.dumps({"runtimes": {"bulkhead": {"path": OURS}}})) as host:
        def candidate(name, runtime):
            return bench.Candidate(name).step(*host.command("run", "--rm", "--network", "none", "--runtime",
                                                            runtime, host.image, "true"))
        report.compare("docker run --rm busybox true, no network",
                       [candidate(bench.OURS, "bulkhead"), candidate("runc, docker's default", "runc")])


def containerd(report):
    from containerd_host import ContainerdHost
    with ContainerdHost() as host:
        def candidate(name, runtime):
            inside, *words = host.command("run", "--rm", "--runc-binary", runtime, host.image,
                                          f"{name.split(',')[0]}-{{n}}", "true")
            return bench.Candidate(name).step(shutil.which(inside), *words)
        report.compare("ctr run --rm busybox true",
                       [candidate(bench.OURS, OURS), candidate("runc, ctr's default", "runc")])


def podman(report, machine):
    image, namespace = machine.podman_image(), machine.without_v2()
    words = [shutil.which("podman"), *machine.podman()[1:]]

    def candidate(name, runtime):
        return bench.Candidate(name, namespace).step(*words, "--runtime", runtime, "run", "--rm", "--network",
                                                     "none", image, "true")
    report.compare("podman run --rm busybox true, no network",
                   [candidate(bench.OURS, OURS), candidate("crun, podman's default", "crun")])


def run(benchmarks):
    for program, measured in (("dockerd", docker), ("containerd", containerd)):
        if not shutil.which(program):
            print(f"> {program} is left out: it is not installed\n")
            continue
        try:
            measured(benchmarks.report)
        except AssertionError as error:
            print(f"> {program} is left out: {error}\n")
    with contextlib.suppress(bench.Unavailable):
        podman(benchmarks.report, benchmarks.machine)
