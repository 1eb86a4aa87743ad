"""Debian's dockerd with data, sockets, network and cgroups of its own, on one runtime."""

import contextlib
import json
import os
import pathlib
import subprocess

from enclosure import Enclosure
from engine_support import RUNTIME, image_file

DOCKER = "/usr/bin/docker"  # Debian's; another one may stand before it in PATH


class DockerHost:
    """Use as a context manager. `configuration` is the text of daemon.json."""

    def __init__(self, configuration=None, options=(), prepare=None):
        self.enclosure = Enclosure("docker")
        self.directory = self.enclosure.directory
        self.socket = self.directory / "docker.sock"
        self.options = options
        self.image = "busybox"
        self.runtime = "tested"
        self.file = self.directory / "daemon.json"
        if configuration is None:
            configuration = json.dumps({"runtimes": {self.runtime: {"path": RUNTIME}}})
        self.file.write_text(configuration, encoding="utf-8")
        try:
            if prepare:
                prepare(self.enclosure)
            self.start()
            self._import_image()
        except BaseException:
            self.enclosure.close()
            raise

    def start(self):
        data = self.enclosure.data
        self.daemon = self.enclosure.start(
            lambda: self.call("version").returncode == 0,
            "/usr/sbin/dockerd", "--config-file", self.file, "--data-root", data / "docker",
            "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid", "--host",
            f"unix://{self.socket}", "--cgroup-parent", f"/{self.enclosure.name}",
            "--log-level", "warn", *self.options)

    def restart(self):
        """A new daemon; with live restore the containers stay."""
        self.enclosure.stop(self.daemon)
        self.start()

    def _import_image(self):
        """The only layer of the built-in image, as `docker import` takes it."""
        subprocess.run(["tar", "-xf", image_file(), "-C", self.directory, "--one-top-level=layout"],
                       check=True, timeout=30)
        layout = self.directory / "layout"

        def blob(digest):
            return layout / "blobs" / digest.replace(":", "/")
        index = json.loads((layout / "index.json").read_text())
        manifest = json.loads(blob(index["manifests"][0]["digest"]).read_text())
        layers = [blob(layer["digest"]) for layer in manifest["layers"]]
        if len(layers) != 1:
            raise AssertionError(f"{image_file()} has {len(layers)} layers")
        self.run("import", "--change", "CMD [\"sh\"]", "--change",
                 "ENV PATH=/bin:/sbin:/usr/bin:/usr/sbin", layers[0], self.image)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            with contextlib.suppress(Exception):
                self.remove_all()
        finally:
            self.enclosure.close()

    def remove_all(self):
        """Every container, then the networks and volumes that tests made."""
        if left := self.call("ps", "-aq").stdout.split():
            self.call("rm", "-f", "-v", *left)
        self.call("network", "prune", "-f")
        self.call("volume", "prune", "-f")

    def command(self, *arguments):
        return [DOCKER, "--host", f"unix://{self.socket}", *map(str, arguments)]

    def call(self, *arguments, timeout=60, **options):
        """The finished process, whatever its exit code."""
        environment = dict(os.environ, DOCKER_CONFIG=str(self.directory / "client"))
        return subprocess.run(self.command(*arguments), env=environment, text=True, errors="replace",
                              capture_output=True, timeout=timeout, check=False, **options)

    def run(self, *arguments, **options):
        """Standard output; an AssertionError with standard error for any other exit code than 0."""
        done = self.call(*arguments, **options)
        if done.returncode != 0:
            raise AssertionError(f"docker {' '.join(map(str, arguments))}: exit code "
                                 f"{done.returncode}: {done.stderr.strip()[-900:]}")
        return done.stdout.strip()

    def on_runtime(self):
        return ("--runtime", self.runtime) if self.runtime else ()

    def once(self, *arguments, **options):
        """docker run --rm on the runtime: the finished process."""
        return self.call("run", "--rm", *self.on_runtime(), *arguments, **options)

    def says(self, *arguments, **options):
        return self.run("run", "--rm", *self.on_runtime(), *arguments, **options)

    @contextlib.contextmanager
    def container(self, *arguments, name="test", command=("sleep", "1000")):
        """A detached container that is removed at the end."""
        try:
            self.run("run", "-d", "--name", name, *self.on_runtime(), *arguments, self.image, *command)
            yield name
        except BaseException:
            self.call("rm", "-f", "-v", name)
            raise
        removed = self.call("rm", "-f", "-v", name)
        if removed.returncode != 0 and "No such container" not in removed.stderr:
            self.call("rm", "-f", "-v", name)  # for the tests after it, which use the name again
            raise AssertionError(f"docker rm: {removed.stderr.strip()[-900:]}")

    def inspect(self, name, field):
        return self.run("inspect", "-f", "{{" + field + "}}", name)

    def pid(self, name):
        return int(self.inspect(name, ".State.Pid"))

    def root(self, name):
        """The container's root as the host reaches it."""
        return pathlib.Path(f"/proc/{self.pid(name)}/root")
