"""Debian's containerd with root, state, socket, network and cgroups of its own, and ctr beside it."""

import contextlib
import subprocess

from enclosure import Enclosure
from engine_support import RUNTIME, image_file


class ContainerdHost:
    """Use as a context manager."""

    def __init__(self, configuration=None):
        self.enclosure = Enclosure("containerd")
        self.directory = self.enclosure.directory
        self.address = self.directory / "containerd.sock"
        self.runc_root = "/run/containerd/runc"
        self.file = self.directory / "config.toml"
        # Without its Kubernetes half, which wants the machine's CNI.
        self.file.write_text(configuration or
                             'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n',
                             encoding="utf-8")
        try:
            self.enclosure.start(
                lambda: self.call("version").returncode == 0, "/usr/bin/containerd", "--config",
                self.file, "--address", self.address, "--root", self.enclosure.data / "containerd", "--state",
                "/run/containerd", "--log-level", "warn")
            self.image = self._import_image()
        except BaseException:
            self.enclosure.close()
            raise

    def _import_image(self):
        self.run("images", "import", "--base-name", "docker.io/library/busybox", image_file())
        return self.run("images", "list", "--quiet").split()[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            with contextlib.suppress(Exception):
                self.remove_all()
        finally:
            self.enclosure.close()

    def remove_all(self):
        for name in self.call("containers", "list", "--quiet").stdout.split():
            self.remove(name)

    def remove(self, name):
        self.call("tasks", "delete", "--force", name)
        self.call("containers", "delete", name)

    def command(self, *arguments):
        """ctr; inside, because it makes the pipes of a container's output under /run."""
        return self.enclosure.command("/usr/bin/ctr", "--address", self.address, "--namespace",
                                      self.enclosure.name, *arguments)

    def call(self, *arguments, timeout=60, **options):
        """The finished process, whatever its exit code."""
        options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
        if "input" in options:
            del options["stdin"]
        return subprocess.run(self.command(*arguments), text=True, errors="replace", capture_output=True,
                              timeout=timeout, check=False, **options)

    def run(self, *arguments, **options):
        """Standard output; an AssertionError with standard error for any other exit code than 0."""
        done = self.call(*arguments, **options)
        if done.returncode != 0:
            raise AssertionError(f"ctr {' '.join(map(str, arguments))}: exit code {done.returncode}: "
                                 f"{done.stderr.strip()[-900:]}")
        return done.stdout.strip()

    @staticmethod
    def on_runtime():
        return ("--runc-binary", RUNTIME)

    def once(self, *arguments, **options):
        """ctr run --rm of OPTIONS IMAGE NAME COMMAND."""
        return self.call("run", "--rm", *self.on_runtime(), *arguments, **options)

    @contextlib.contextmanager
    def container(self, *arguments, name="test", command=("sleep", "1000")):
        """A detached container that is removed at the end."""
        try:
            self.run("run", "--detach", *self.on_runtime(), *arguments, self.image, name, *command)
            yield name
        finally:
            self.remove(name)

    def tasks(self):
        """name -> (pid, status)"""
        lines = self.run("tasks", "list").splitlines()[1:]
        return {fields[0]: (int(fields[1]), fields[2]) for fields in map(str.split, lines)}

    def pid(self, name):
        return self.tasks()[name][0]

    def status(self, name):
        return self.tasks()[name][1]
