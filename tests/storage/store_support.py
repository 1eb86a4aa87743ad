"""What the suites of the store share."""

import contextlib
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import BUILD, FULL, image_file  # noqa: F401
from support.harness import Skip, Suite, equal, expect  # noqa: F401

BULKHEAD = os.environ["BULKHEAD"]


class Store:
    """A store of its own, on a tmpfs where there is one."""

    def __init__(self, directory):
        self.directory = directory
        self.root = directory / "store"
        self.runroot = directory / "runroot"

    def command(self, *words):
        return [BULKHEAD, "--root", str(self.root), "--runroot", str(self.runroot),
                *map(str, words)]

    def call(self, *words, timeout=120, text=True, **more):
        if "input" not in more:
            more.setdefault("stdin", subprocess.DEVNULL)
        if text:
            more["errors"] = "replace"
        return subprocess.run(self.command(*words), stdout=more.pop("stdout", subprocess.PIPE),
                              stderr=subprocess.PIPE, text=text, timeout=timeout, check=False,
                              **more)

    def does(self, *words, **more):
        """Must succeed; what it printed."""
        done = self.call(*words, **more)
        equal(done.returncode, 0, f"{words}: {done.stderr}")
        return done.stdout

    def refuses(self, *words, code=1, because="", **more):
        done = self.call(*words, **more)
        equal(done.returncode, code, f"{words}: {done.stdout!r} {done.stderr}")
        message = done.stderr if isinstance(done.stderr, str) else done.stderr.decode()
        expect(because in message, f"{words}: {because!r} is not in {message!r}")
        expect(message.startswith("bulkhead: "), f"{words}: {message!r}")
        return message

    def names(self):
        return sorted(self.does("images", "--format", "{{.Repository}}:{{.Tag}}").split())

    def inspect(self, name):
        return json.loads(self.does("image", "inspect", name))[0]

    def check(self, what=""):
        """The store must be whole."""
        done = self.call("system", "check")
        equal(done.returncode, 0, f"system check {what}: {done.stdout} {done.stderr}")
        expect("The store is whole." in done.stdout, f"{what}: {done.stdout}")
        return done.stdout

    def left(self):
        """Blobs and layers on the disk, whoever's they are."""
        return sorted(entry.name for directory in ("blobs/sha256", "layers", "trees", "images")
                      for entry in (self.root / directory).iterdir() if entry.name != "empty") \
            if self.root.exists() else []

    @contextlib.contextmanager
    def tree(self, name):
        """The image's files as a container would see them."""
        lower = self.inspect(name)["GraphDriver"]["Data"]["LowerDir"]
        with tempfile.TemporaryDirectory(dir=self.directory) as top:
            # A single directory is no overlay: an empty one above it makes it one.
            empty = pathlib.Path(top) / "empty"
            empty.mkdir()
            target = pathlib.Path(top) / "tree"
            target.mkdir()
            subprocess.run(["mount", "-t", "overlay", "-o", f"ro,lowerdir={empty}:{lower}",
                            "overlay", str(target)], check=True)
            try:
                yield target
            finally:
                subprocess.run(["umount", str(target)], check=True)


@contextlib.contextmanager
def new_store():
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
    # Buildah makes an image's name of it: not every character will do.
    directory = pathlib.Path(place) / f"bulkhead-store-{secrets.token_hex(4)}"
    directory.mkdir(mode=0o700)
    try:
        yield Store(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main(suite):
    """Each test gets a store of its own. In a mount namespace of its own, so that no mount is left."""
    if os.geteuid() != 0:
        print(f"SKIP {suite.name} — it unpacks layers and needs root")
        return 0
    if "--in-namespace" not in sys.argv:
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable,
                              *sys.argv, "--in-namespace"])
    sys.argv.remove("--in-namespace")
    tests, suite.tests = suite.tests, []
    for function in tests:
        def with_store(function=function):
            with new_store() as store:
                function(store)
        with_store.__name__ = function.__name__
        suite.tests.append(with_store)
    return suite.main()
