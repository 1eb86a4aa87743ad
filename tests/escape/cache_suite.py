#!/usr/bin/env python3
"""Whether one container can tell what another reads of an image that both run from: by how long its own
read of the same file takes. The controls are the ways of storing layers that share a page cache."""

import hashlib
import io
import json
import os
import pathlib
import random
import statistics
import sys
import tarfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "integration")]
from bulkhead_support import Running, main
from support.bundles import FULL, image_file
from support.harness import Skip, Suite, equal, expect

suite = Suite("escape")

PAGE = 4096
PAGES = 512
TRIALS = 60 if FULL else 24
# Of guesses; a coin gets half of them right.
OPEN, CLOSED = 0.9, 0.85


def image_with_a_secret(host):
    """The embedded image with one more layer, as an OCI layout."""
    layout = host.directory / "secret-image"
    if layout.exists():
        return layout
    layout.mkdir()
    with tarfile.open(image_file()) as archive:
        archive.extractall(layout)
    blobs = layout / "blobs/sha256"

    def put(content):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    def get(descriptor):
        return json.loads((blobs / descriptor["digest"].split(":")[1]).read_bytes())

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        info = tarfile.TarInfo("secret")
        info.size, info.mode = PAGES * PAGE, 0o644
        archive.addfile(info, io.BytesIO(random.Random(1).randbytes(info.size)))
    index = json.loads((layout / "index.json").read_text())
    manifest = get(index["manifests"][0])
    config = get(manifest["config"])
    blob = put(layer.getvalue())
    config["rootfs"]["diff_ids"].append(blob["digest"])
    manifest["layers"].append({"mediaType": "application/vnd.oci.image.layer.v1.tar", **blob})
    manifest["config"].update(put(json.dumps(config).encode()))
    index["manifests"][0].update(put(json.dumps(manifest).encode()))
    (layout / "index.json").write_text(json.dumps(index))
    return layout


def forget(path):
    """As time does: what of the file is in the page cache goes."""
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds_of_reading(path):
    """Pages here and there, so that reading ahead is of no use: each is there or must be fetched."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        begin = time.perf_counter()
        for page in range(3, PAGES, 16):
            os.pread(descriptor, 16, page * PAGE)
        return time.perf_counter() - begin
    finally:
        os.close(descriptor)


def accuracy(host, *flags):
    """How often the time of the watcher's read tells rightly whether the victim has read the file.

    Both read through the mounts of their containers, by the kernel's path for programs in there."""
    image = image_with_a_secret(host)
    with Running(host, *flags, image=str(image)) as victim, \
            Running(host, *flags, image=str(image)) as watcher:
        secret, view = (pathlib.Path(f"/proc/{c.pid()}/root/secret") for c in (victim, watcher))
        equal(secret.read_bytes(), view.read_bytes(), "the same file")
        stored = [secret, view, *(host.store / "layers-erofs").glob("*.erofs")]

        def trial(reads):
            for path in stored:
                forget(path)
            if reads:
                secret.read_bytes()
            return seconds_of_reading(view)

        trial(True), trial(False)
        times = {reads: [] for reads in (True, False)}
        for _ in range(TRIALS):
            for reads in random.sample((True, False), 2):
                times[reads].append(trial(reads))
    # The best that an attacker could do who knows both distributions: one threshold between them.
    every = sorted(times[True] + times[False])
    best = max(sum(t <= limit for t in times[True]) + sum(t > limit for t in times[False])
               for limit in every) / (2 * TRIALS)
    print(f"  {flags}: {best:.2f}; medians {statistics.median(times[True]) * 1e3:.2f} ms read, "
          f"{statistics.median(times[False]) * 1e3:.2f} ms unread", file=sys.stderr)
    return best


def on_a_disk(host):
    """On a file system in memory every page is always there, and tells nothing in any way."""
    host.says("busybox", "true")
    host.says("--storage", "erofs", "busybox", "true")
    return not any(line.split()[1] == "tmpfs" for line in os.popen(f"df -T {host.store} | tail -1"))


@suite.test
def a_shared_page_cache_tells_what_another_container_has_read(host):
    if not on_a_disk(host):
        raise Skip("the store lies on a tmpfs")
    for flags in ((), ("--storage", "erofs")):
        found = accuracy(host, *flags)
        expect(found >= OPEN, f"{flags}: the control gets through in {found:.2f} of the trials only")


@suite.test
def erofs_with_direct_io_tells_nothing(host):
    if not on_a_disk(host):
        raise Skip("the store lies on a tmpfs")
    found = accuracy(host, "--storage", "erofs", "--storage-opt", "directio")
    expect(found <= CLOSED, f"{found:.2f} of the guesses are right")


if __name__ == "__main__":
    sys.exit(main(suite))
