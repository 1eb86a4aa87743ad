#!/usr/bin/env python3
"""`bulkhead system integrate`: real docker, containerd and podman started with what it writes, in their
usual places, see the runtime and use it; and every file comes back to the byte."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

from containerd_host import ContainerdHost
from docker_host import DockerHost
from engine_support import BUILD, RUNTIME, Skip, Suite, equal, eventually, expect, go_apart
from podman_host import PodmanHost

BULKHEAD = os.environ["BULKHEAD"]
BESIDE = str(pathlib.Path(BULKHEAD).parent / "bulkhead-runtime")
PROGRAMS = {"docker": "dockerd", "podman": "podman", "containerd": "containerd"}
FILES = {"docker": "/etc/docker/daemon.json", "containerd": "/etc/containerd/config.toml",
         "podman": "/etc/containers/containers.conf.d/bulkhead.conf"}

suite = Suite("integrate")


def call(*words):
    return subprocess.run([BULKHEAD, "system", "integrate", *map(str, words)], capture_output=True,
                          text=True, timeout=30, check=False)


def integrate(*words):
    done = call(*words)
    equal(done.returncode, 0, f"{words}: {done.stderr}")
    return done.stdout


def need(engine):
    if not shutil.which(PROGRAMS[engine]):
        raise Skip(f"{PROGRAMS[engine]} is not installed")


@contextlib.contextmanager
def place(engine):
    """The engine's usual file, in this program's own copy of /etc, as a machine's first day has it."""
    path = pathlib.Path(FILES[engine])
    path.unlink(missing_ok=True)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@suite.test
def it_prints_what_each_engine_reads(work):
    docker = json.loads(integrate("docker"))
    equal(docker, {"runtimes": {"bulkhead": {"path": BESIDE}}}, "docker")
    podman = tomllib.loads(integrate("podman"))["engine"]
    equal(podman["runtimes"], {"bulkhead": [BESIDE]}, "podman")
    expect("bulkhead" in podman["runtime_supports_json"], podman)
    plugins = tomllib.loads(integrate("--default", "containerd"))["plugins"]
    containerd = plugins["io.containerd.grpc.v1.cri"]["containerd"]
    equal(containerd["runtimes"]["bulkhead"],
          {"runtime_type": "io.containerd.runc.v2", "options": {"BinaryName": BESIDE}}, "containerd")
    equal(containerd["default_runtime_name"], "bulkhead", "containerd's default")
    for engine, file in FILES.items():
        expect(file in call(engine).stderr, f"{engine}: where it belongs is not said")
        expect(not pathlib.Path(file).exists() or "bulkhead" not in pathlib.Path(file).read_text(),
               f"{file} was written without --write")
    link = work / "named"
    link.symlink_to(BESIDE)
    equal(json.loads(integrate("--runtime", link, "docker"))["runtimes"]["bulkhead"]["path"],
          os.path.realpath(BESIDE), "another runtime")


@suite.test
def what_was_there_comes_back_to_the_byte(work):
    texts = {
        "docker": ['{}', '{\n}\n', '{"debug":true,\r\n\t"runtimes": {"k":{"path":"/k"}} }',
                   '{"runtimes": {}, "log-driver": "json-file"}\n'],
        "podman": ['', '[engine]\ncgroup_manager="cgroupfs"', '# mine\n[engine.runtimes]\nx = ["/x"]\n'],
        "containerd": [pathlib.Path("/etc/containerd/config.toml").read_text()
                       if pathlib.Path("/etc/containerd/config.toml").exists() else "version = 2\n",
                       'version = 3', 'root = "/r"\n[plugins]\n[plugins.cri.containerd.runtimes.runc]\n'],
    }
    for engine, befores in texts.items():
        parse = json.loads if engine == "docker" else tomllib.loads
        for before in befores:
            file = work / f"{engine}.file"
            file.write_bytes(before.encode())
            file.chmod(0o604)
            for words in (("--write",), ("--write",), ("--write", "--default")):
                integrate(*words, "--file", file, engine)
                expect(BESIDE in json.dumps(parse(file.read_text())), file.read_text())
            said = integrate("--write", "--file", file, engine)
            expect("nothing to change" in said, f"not idempotent: {said}")
            equal(file.stat().st_mode & 0o7777, 0o604, "mode")
            integrate("--remove", "--file", file, engine)
            equal(file.read_bytes(), before.encode(), engine)
            expect("nothing to change" in integrate("--remove", "--file", file, engine), "removed twice")
        absent = work / "new" / engine
        integrate("--write", "--file", absent, engine)
        integrate("--remove", "--file", absent, engine)
        expect(not absent.exists(), f"{engine}: a file that --write made stays")
    equal([path.name for path in work.iterdir() if "bulkhead-" in path.name], [], "unfinished files")


@suite.test
def what_cannot_be_merged_is_an_error_and_stays(work):
    for engine, text, words in (
            ("docker", '{"debug": true,}', "line 1"), ("docker", "", "JSON"),
            ("docker", '{"runtimes": []}', "/runtimes"), ("docker", '{"a":1,"a":2}', "stands twice"),
            ("podman", '[engine\n', "line 1"), ("containerd", 'version = 7\n', "version"),
            ("podman", '[engine.runtimes]\nbulkhead = ["/x"]\n', "line 2")):
        file = work / "bad"
        file.write_text(text, encoding="utf-8")
        done = call("--write", "--file", file, engine)
        expect(done.returncode == 125 and words in done.stderr and str(file) in done.stderr, done)
        equal(file.read_text(), text, "a file that was refused")
    for words in (("rkt",), (), ("--write", "--remove", "docker"), ("--runtime", "/no/such", "docker")):
        expect(call(*words).returncode == 125, f"{words} was taken")


@suite.test
def docker_reads_it_when_it_is_reloaded_and_when_it_starts(_):
    need("docker")
    with place("docker") as file:
        file.parent.mkdir(exist_ok=True)
        before = '{"log-driver": "json-file", "runtimes": {"other": {"path": "/usr/sbin/runc"}}}'
        with DockerHost(before) as docker:
            def runtimes():
                return json.loads(docker.run("info", "--format", "{{json .Runtimes}}"))
            expect("other" in runtimes() and "bulkhead" not in runtimes(), "the control")
            integrate("--write", "--file", docker.file, "docker")
            dockerd = int(docker.enclosure.call("cat", "/run/docker.pid").stdout)
            os.kill(dockerd, 1)
            expect(eventually(lambda: "bulkhead" in runtimes()), f"not reloaded: {runtimes()}")
            expect("other" in runtimes(), runtimes())
            equal(docker.run("run", "--rm", "--runtime", "bulkhead", docker.image, "echo", "hello"), "hello",
                  "output")
            integrate("--write", "--default", "--file", docker.file, "docker")
            docker.restart()
            equal(docker.run("info", "--format", "{{.DefaultRuntime}}"), "bulkhead", "default")
            with docker.container("--runtime", "bulkhead") as name:
                # runc keeps no file of that name.
                state = docker.enclosure.call("find", "/run/docker/runtime-runc", "-name", "init").stdout
                expect(state and docker.pid(name), f"not on bulkhead-runtime: {state!r}")
            integrate("--remove", "--file", docker.file, "docker")
            equal(docker.file.read_text(), before, "the file afterwards")
            docker.restart()
            expect("bulkhead" not in runtimes(), "the runtime stays")


@suite.test
def podman_reads_it_from_its_usual_place(_):
    need("podman")
    with PodmanHost() as podman:
        # Of podman's configuration all but the runtimes; and the usual places again.
        configuration = pathlib.Path(podman.environment.pop("CONTAINERS_CONF"))
        pathlib.Path("/etc/containers/containers.conf").write_text(
            "".join(line for line in configuration.read_text().splitlines(keepends=True)
                    if "runtime_supports" not in line), encoding="utf-8")
        podman.runtime = "bulkhead"
        run = ("run", "--rm", "--network", "none", podman.image)
        refused = podman.call(*run, "true")
        expect(refused.returncode != 0 and "bulkhead" in refused.stderr, f"the control: {refused}")
        integrate("--write", "podman")
        equal(podman.run(*run, "echo", "hello"), "hello", "output")
        missing = podman.call(*run, "/no/such/program")
        equal(missing.returncode, 127, f"the runtime's error is not read: {missing.stderr}")
        podman.run("run", "--rm", "--cgroups", "disabled", "--network", "none", podman.image, "true")
        expect("bulkhead" in podman.run("info", "--format", "{{.Host.OCIRuntime.Name}}"), "info")
        integrate("--write", "--default", "podman")
        without = subprocess.run(["podman", *run, "echo", "default"], env=podman.environment, text=True,
                                 capture_output=True, timeout=60, check=False)
        equal(without.stdout, "default\n", without.stderr)
        name = subprocess.run(["podman", "info", "--format", "{{.Host.OCIRuntime.Path}}"], text=True,
                              env=podman.environment, capture_output=True, timeout=60, check=False)
        equal(name.stdout.strip(), BESIDE, "default runtime")
        integrate("--remove", "podman")
        expect(not pathlib.Path(FILES["podman"]).exists(), "the file stays")


@suite.test
def containerd_reads_it_and_keeps_runc(_):
    need("containerd")
    for version in ("version = 2\n", ""):
        with ContainerdHost(version or '# version 1\n') as ctr:
            before = ctr.file.read_text()
            integrate("--write", "--default", "--file", ctr.file, "containerd")
            dump = ctr.enclosure.call("/usr/bin/containerd", "--config", ctr.file, "config", "dump")
            cri = tomllib.loads(dump.stdout)["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]
            equal(cri["runtimes"]["bulkhead"]["options"]["BinaryName"], BESIDE, "containerd's own words")
            equal(cri["runtimes"]["runc"]["runtime_type"], "io.containerd.runc.v2", "runc")
            equal(cri["default_runtime_name"], "bulkhead", "default")
            integrate("--remove", "--file", ctr.file, "containerd")
            equal(ctr.file.read_text(), before, "the file afterwards")


@suite.test
def containerds_kubernetes_half_starts_with_it(work):
    need("containerd")
    file = work / "cri.toml"
    for words in (("--write",), ("--write", "--default")):
        integrate(*words, "--file", file, "containerd")
        with ContainerdHost(file.read_text()) as ctr:
            # The plugin looks through its runtimes when it loads, and fails for a default it does not find.
            plugins = [line.split() for line in ctr.run("plugins", "list").splitlines()]
            state = next(fields[3] for fields in plugins if fields[1:2] == ["cri"])
            equal(state, "ok", "state of the CRI plugin")


@suite.test
def the_completion_knows_it(_):
    script = subprocess.run([BULKHEAD, "completion", "bash"], capture_output=True, text=True, check=True)
    ask = ('COMP_WORDS=(bulkhead system integrate {}); COMP_CWORD=3; _bulkhead; echo "${{COMPREPLY[@]}}"\n')
    done = subprocess.run(["bash", "-c", script.stdout + ask.format("--") + ask.format("pod")],
                          capture_output=True, text=True, check=True)
    equal(done.stdout.splitlines(), ["--write --remove --default --file --runtime --help", "podman"],
          done.stderr)


def own_etc():
    """/etc in this program's mount namespace: changes go to a tmpfs and end with it."""
    layers = pathlib.Path("/run/bulkhead-integrate-etc")
    overlay = f"lowerdir=/etc,upperdir={layers}/upper,workdir={layers}/work"
    for command in (["mount", "-t", "tmpfs", "tmpfs", "/run"],
                    ["mkdir", "-p", layers / "upper", layers / "work"],
                    ["mount", "-t", "overlay", "-o", overlay, "overlay", "/etc"]):
        subprocess.run(command, check=True, timeout=30)
    return layers


def main():
    if pathlib.Path(RUNTIME).name != "bulkhead-runtime":
        print("SKIP integrate — it registers bulkhead-runtime alone")
        return 0
    if os.geteuid() != 0:
        print("SKIP integrate — needs root")
        return 0
    go_apart()
    work = own_etc() / "test"
    work.mkdir()
    return suite.main(work)


if __name__ == "__main__":
    sys.exit(main())
