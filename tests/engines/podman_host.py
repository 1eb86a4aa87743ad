"""A podman of its own: storage, configuration and images apart from the machine's, on one runtime."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from engine_support import RUNTIME, image_file


class PodmanHost:
    """Use as a context manager; everything that it made is gone afterwards."""

    def __init__(self, runtime=RUNTIME):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-podman-"))
        self.runtime = runtime
        self.image_file = image_file()
        self.image = "localhost/busybox:latest"
        configuration = self.directory / "containers.conf"
        # Root may lack CAP_SYS_RESOURCE, and then podman's own default limits cannot be set.
        nofile, nproc = hard_limit("nofile"), hard_limit("nproc")
        configuration.write_text(
            "[containers]\n"
            f'default_ulimits=["nofile={nofile}:{nofile}","nproc={nproc}:{nproc}"]\n'
            'log_driver="k8s-file"\n'
            "[engine]\n"
            'cgroup_manager="cgroupfs"\nevents_logger="file"\n'
            'runtime_supports_json=["bulkhead-runtime", "crun", "runc"]\n'
            f'tmp_dir="{self.directory}/tmp"\n', encoding="utf-8")
        policy = self.directory / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}', encoding="utf-8")
        self.policy = policy
        self.environment = dict(os.environ, CONTAINERS_CONF=str(configuration),
                                CONTAINERS_STORAGE_CONF=str(self._storage_configuration()),
                                XDG_RUNTIME_DIR=str(self.directory / "xdg"))

    def _storage_configuration(self):
        path = self.directory / "storage.conf"
        path.write_text('[storage]\ndriver="overlay"\n'
                        f'graphroot="{self.directory}/graph"\nrunroot="{self.directory}/run"\n',
                        encoding="utf-8")
        return path

    def __enter__(self):
        # A tmpfs of its own: overlay wants an upper directory that is no overlay, and nothing of a
        # test should reach the disk.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs",
                        self._mountable()], check=True)
        self.run("load", "-q", "-i", self.image_file)
        listed = self.run("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        self.image = next(name for name in listed if "busybox" in name)
        return self

    def _mountable(self):
        graph = self.directory / "graph"
        graph.mkdir()
        return str(graph)

    def __exit__(self, *_):
        self.call("pod", "rm", "-a", "-f", "-t", "0")
        self.call("rm", "-a", "-f", "-t", "0")
        self.call("network", "prune", "-f")
        for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
            point = line.split(" ")[4]
            if point.startswith(str(self.directory)):
                subprocess.run(["umount", "-l", point], check=False, capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def command(self, *arguments):
        return ["podman", "--runtime", self.runtime, *map(str, arguments)]

    def call(self, *arguments, timeout=120, **options):
        """The finished process, whatever its exit code."""
        return subprocess.run(self.command(*arguments), env=self.environment, text=True,
                              errors="replace", capture_output=True, timeout=timeout, **options)

    def run(self, *arguments, **options):
        """Standard output; an AssertionError with standard error for any other exit code than 0."""
        done = self.call(*arguments, **options)
        if done.returncode != 0:
            raise AssertionError(f"podman {' '.join(map(str, arguments))}: exit code "
                                 f"{done.returncode}: {done.stderr.strip()[-900:]}")
        return done.stdout.strip()

    @contextlib.contextmanager
    def container(self, *arguments, name="test", command=("sleep", "1000")):
        """A detached container that is removed at the end."""
        try:
            self.run("run", "-d", "--name", name, *arguments, self.image, *command)
            yield name
        except BaseException:
            self.call("rm", "-f", "-t", "0", name)
            raise
        self.remove("container", name)

    def remove(self, kind, name):
        """Removes a pod or a container, whether it is still there or not. What fails at the first try fails
        the test whose leftover it is; the second is for the tests after it, which use the name again."""
        words = (kind, "rm", "--ignore", "-f", "-t", "0", name)
        try:
            self.run(*words)
        except AssertionError:
            self.call(*words)
            raise


def hard_limit(name):
    import resource
    limit = resource.getrlimit({"nofile": resource.RLIMIT_NOFILE,
                                "nproc": resource.RLIMIT_NPROC}[name])[1]
    return 20000 if limit == resource.RLIM_INFINITY else min(limit, 20000)
