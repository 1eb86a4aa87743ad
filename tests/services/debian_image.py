"""One image with all the services, made by mmdebstrap of Debian's packages and kept beside the checkout's
builds, or where BULKHEAD_TEST_CACHE says: a second run needs no mirror."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.harness import Skip

SUITE = "bookworm"
PACKAGES = ["postgresql", "redis-server", "nginx-light", "python3-minimal", "libpython3-stdlib", "nodejs",
            "wget", "procps", "iputils-ping"]
NAME = "debian-services:test"
OLDEST_SECONDS = 30 * 24 * 3600  # security updates come in, and the mirror is asked now and then
BUILD_SECONDS = 200


def cache_directory():
    place = os.environ.get("BULKHEAD_TEST_CACHE")
    directory = pathlib.Path(place) if place else pathlib.Path.home() / ".cache" / "bulkhead-tests"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def roomy_directory():
    """Memory, where there is enough: a disk takes minutes over the many small files."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage("/dev/shm").free > 2 << 30:
            return "/dev/shm"
    return tempfile.gettempdir()


def archive():
    """The tar of the root file system; Skip where it is not there and cannot be made."""
    key = hashlib.sha256(" ".join([SUITE, *PACKAGES]).encode()).hexdigest()[:12]
    target = cache_directory() / f"services-{SUITE}-{key}.tar"
    if target.exists() and time.time() - target.stat().st_mtime < OLDEST_SECONDS:
        return target
    if not shutil.which("mmdebstrap"):
        raise Skip("mmdebstrap is missing: the package mmdebstrap is not installed")
    unfinished = target.with_suffix(".tar.unfinished")
    begin = time.monotonic()
    # No documents, no lists of packages: what runs is wanted. The chroot of the build runs no daemon.
    command = ["mmdebstrap", "--mode=root", "--variant=essential", "--format=tar", "--quiet",
               "--include=" + ",".join(PACKAGES), '--aptopt=APT::Install-Recommends "false"',
               "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
               "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=force-unsafe-io",
               SUITE, str(unfinished)]
    try:
        made = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=BUILD_SECONDS, check=False,
                              env=dict(os.environ, LC_ALL="C.UTF-8", TMPDIR=roomy_directory()))
        if made.returncode != 0:
            raise Skip(f"no image of Debian's packages: {made.stderr.strip()[-300:]!r}")
        unfinished.rename(target)
    except subprocess.TimeoutExpired as error:
        raise Skip(f"no image of Debian's packages within {BUILD_SECONDS} s: the mirror is slow") from error
    finally:
        unfinished.unlink(missing_ok=True)
    print(f"  an image of {target.stat().st_size >> 20} MB in {time.monotonic() - begin:.0f} s", flush=True)
    for old in target.parent.glob(f"services-{SUITE}-*.tar"):
        if old != target:
            old.unlink()
    return target
