"""What the suites of the life of containers share."""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from bulkhead_support import Host
from support.bundles import Workshop, image_file, processes_of
from support.harness import equal, expect

IDLE = ("sleep", "100000")
ENGINE_FAILURE = 125


class LifeHost(Host):
    """A store of its own, whose containers are all taken away at the end."""

    def good(self, *arguments, **more):
        """The output of a command that must succeed."""
        done = self.call(*arguments, **more)
        equal(done.returncode, 0, f"{arguments}: {done.stderr}")
        return done.stdout.strip()

    def refused(self, *arguments, code=1, words=()):
        done = self.call(*arguments)
        equal(done.returncode, code, f"{arguments}: {done}")
        for word in words:
            expect(word in done.stderr, f"{arguments}: no {word!r} in {done.stderr!r}")

    def start(self, *flags, command=IDLE, image="busybox"):
        """`run -d`; the id."""
        identity = self.good("run", "--detach", *flags, image, *command)
        expect(re.fullmatch("[0-9a-f]{64}", identity), f"not an id: {identity!r}")
        return identity

    def told(self, name, template):
        return self.good("inspect", "--format", template, name)

    def inspected(self, name):
        return json.loads(self.good("inspect", name))[0]

    def status(self, name):
        return self.told(name, "{{.State.Status}}")

    def remove_all(self):
        names = self.call("ps", "-aq", "--no-trunc").stdout.split()
        if names:
            self.call("rm", "--force", *names)
        self.call("rm", "--dead")

    def monitor(self, identity):
        """The pid of a container's monitor. One of a start that came too late may still be about to end."""
        def found():
            return [int(line.split()[0]) for line in processes_of(identity)
                    if "bulkhead-monitor" in line]
        until(lambda: len(found()) == 1, f"{identity[:12]} has one monitor")
        return found()[0]


def until(condition, what, seconds=30):
    """Waits for something that the kernel or another process does in its own time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        expect(time.monotonic() < deadline, f"never: {what}")
        time.sleep(0.02)
    return value


def own_memory(pid):
    """KiB that are the process's own. A page of the program's file that is still on its way to the disk
    counts as dirty, too, and is not: anonymous memory is what a monitor costs."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Anonymous: *(\d+) kB", text, re.MULTILINE)[1])


@contextlib.contextmanager
def container(host, *flags, **more):
    identity = host.start(*flags, **more)
    try:
        yield identity
    finally:
        host.call("rm", "--force", identity)


def nothing_left(host, identity):
    """Of a container that is gone: no process, group, name or file."""
    def left():
        found = list(processes_of(identity))
        found += [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/bulkhead/{identity}")]
        found += [str(path) for place in (host.store, host.runroot) if place.exists()
                  for path in place.rglob(f"*{identity}*")]
        names = host.store / "names"
        if names.exists():
            found += [name for name in os.listdir(names) if os.readlink(names / name) == identity]
        pool = pathlib.Path("/var/lib/bulkhead/id-pool")
        found += [name for name in os.listdir(pool) if identity in name]
        return found
    try:
        until(lambda: not left(), "all traces gone", 10)
    except AssertionError as error:
        raise AssertionError(f"left of {identity[:12]}: {left()[:4]}") from error


def run_suite(suite):
    if os.geteuid() != 0:
        print(f"SKIP {suite.name} — needs root")
        return 0
    random.seed(os.environ.get("BULKHEAD_SEED", "bulkhead"))
    with Workshop() as work:
        host = LifeHost(work)
        try:
            return suite.main(host)
        finally:
            host.remove_all()


def popen(host, *arguments, **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    more.setdefault("stdout", subprocess.PIPE)
    more.setdefault("stderr", subprocess.PIPE)
    return subprocess.Popen(host.command(*arguments), text=True, **more)


def image_with_config(host, name, **config):
    """The busybox image with more in its configuration, as an OCI layout: "oci:DIRECTORY"."""
    layout = host.work.directory / f"image-{name}"
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(data):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    with tarfile.open(image_file()) as archive:
        def take(path):
            return archive.extractfile(path).read()

        def blob(descriptor):
            return take("blobs/" + descriptor["digest"].replace(":", "/"))
        manifest = json.loads(blob(json.loads(take("index.json"))["manifests"][0]))
        image = json.loads(blob(manifest["config"]))
        for layer in manifest["layers"]:
            put(blob(layer))
    image.setdefault("config", {}).update(config)
    manifest["config"].update(put(image))
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", **put(manifest)}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return f"oci:{layout}"
