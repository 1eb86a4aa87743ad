"""What the suites of volumes share: images with volumes."""

import os
import shutil
import subprocess

from support.harness import equal


def make_image(host, name, changes=(), prepare=lambda root: None):
    """An image of the busybox root file system, changed by `prepare`."""
    root = host.work.own_root()
    try:
        prepare(root)
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:
            words = [word for change in ("CMD [\"sh\"]", *changes) for word in ("--change", change)]
            done = host.call("import", *words, "-", name, stdin=tar.stdout)
        equal(done.returncode, 0, done.stderr)
    finally:
        shutil.rmtree(root)
    return name


def volumes_of(host):
    return host.good("volume", "ls", "-q").split()


def data_of(host, name):
    """Where the content lies on the host."""
    return host.store / "volumes" / name / "_data"


def clear_volumes(host):
    host.remove_all()
    host.good("volume", "prune", "--all", "--force")
    equal(volumes_of(host), [])
    equal(os.listdir(host.store / "volumes") if (host.store / "volumes").exists() else [], [])
