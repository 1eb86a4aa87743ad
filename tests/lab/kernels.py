"""Debian's kernels for the lab: found by the name of their series, unpacked, never installed."""

import gzip
import io
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / "build" / "lab"
# The packages that always depend on the newest kernel of a series, in Debian 12.
SERIES = {"6.1": "linux-image-amd64", "6.12": "linux-image-6.12-amd64"}
DEPENDENCY = re.compile(r"^Depends: *(linux-image-[0-9][^ ,]*) \(= ([^)]+)\)", re.MULTILINE)
TIME_LIMIT_SECONDS = 600


class LabError(Exception):
    """What the lab could not do, and what to do about it."""


def call(*command, **options):
    """The standard output of a program; a LabError with what it said otherwise."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=TIME_LIMIT_SECONDS, check=False, **options)
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is missing: ./test installs the packages that it is in"
                       ) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{command[0]} did not end within {TIME_LIMIT_SECONDS} s") from error
    if done.returncode != 0:
        said = " / ".join((done.stderr or done.stdout).split("\n")[-6:]).strip(" /")
        raise LabError(f"`{' '.join(command)}` failed: {said}")
    return done.stdout


def resolve(series):
    """The kernel package that a series stands for now, and its version; None without any lists."""
    name = SERIES[series]
    for attempt in ("as it is", "after an update"):
        if attempt == "after an update":
            if os.geteuid() != 0:
                break
            call("apt-get", "update", "-qq")
        shown = subprocess.run(["apt-cache", "show", "--no-all-versions", name], text=True,
                               capture_output=True, check=False, stdin=subprocess.DEVNULL)
        if found := DEPENDENCY.search(shown.stdout):
            return found[1], found[2]
    return None


class Kernel:
    """An unpacked kernel: image, an ELF file for direct boot; layer, laid over the guest's root."""

    def __init__(self, directory):
        self.directory = directory
        self.image = directory / "vmlinux"
        self.layer = directory / "layer"
        self.release = next((self.layer / "usr/lib/modules").iterdir()).name

    def module_files(self, *names):
        """The modules with what they depend on, in the order of loading."""
        files = []
        for name in names:
            shown = call("modprobe", "--dirname", str(self.layer / "usr"), "--set-version",
                         self.release, "--show-depends", name)
            for line in shown.splitlines():
                kind, _, path = line.partition(" ")
                if kind == "insmod" and path.strip() not in files:
                    files.append(path.strip())
        return [pathlib.Path(file) for file in files]


def cached(series):
    """The kernels of a series that were unpacked before, the latest last."""
    found = [path for path in (CACHE / "kernels").glob(f"linux-image-{series}.*_*")]
    return sorted(found, key=lambda path: path.stat().st_mtime)


def obtain(series):
    """The newest kernel of a series, downloaded when it is not there yet."""
    known = resolve(series)
    if known is None:
        if older := cached(series):
            return Kernel(older[-1])
        raise LabError(f"no package {SERIES[series]}: the lab takes its kernels from Debian 12's "
                       "archive; add it to apt's sources and run apt-get update")
    package, version = known
    place = CACHE / "kernels" / f"{package}_{version}"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix="new-") as temporary:
            unpack(package, version, pathlib.Path(temporary))
        for older in cached(series):
            if older != place:
                shutil.rmtree(older, ignore_errors=True)
    return Kernel(place)


def unpack(package, version, workplace):
    print(f"lab: downloading {package} {version}", flush=True)
    # apt-get hands the download to a user of its own when that user may write here.
    workplace.chmod(0o755)
    call("apt-get", "download", "-qq", f"{package}={version}", cwd=workplace)
    archive = next(workplace.glob("*.deb"), None)
    if archive is None:
        raise LabError(f"apt-get downloaded nothing for {package}")
    tree, ready = workplace / "tree", workplace / "ready"
    call("dpkg", "-x", str(archive), str(tree))
    (ready / "layer/usr/lib").mkdir(parents=True)
    (tree / "lib/modules").rename(ready / "layer/usr/lib/modules")
    kernel = Kernel(ready)
    extract(tree / "boot" / f"vmlinuz-{kernel.release}", kernel.image)
    call("depmod", "--basedir", str(ready / "layer/usr"), kernel.release)
    try:
        ready.rename(workplace.parent / f"{package}_{version}")
    except OSError:
        # Another one has unpacked the same meanwhile.
        if not (workplace.parent / f"{package}_{version}").exists():
            raise


def decompress_xz(data):
    return lzma.LZMADecompressor().decompress(data)


def decompress_gzip(data):
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        return stream.read()


def by_program(*command):
    return lambda data: subprocess.run(command, input=data, capture_output=True,
                                       check=False).stdout


COMPRESSIONS = [(b"\xfd7zXZ\0", decompress_xz), (b"\x28\xb5\x2f\xfd", by_program("zstd", "-dc")),
                (b"\x02\x21\x4c\x18", by_program("lz4", "-dc")), (b"\x1f\x8b\x08", decompress_gzip)]


def extract(compressed, target):
    """The ELF file within a bzImage: QEMU starts it directly, without decompressing in the guest."""
    data = compressed.read_bytes()
    for magic, decompress in COMPRESSIONS:
        at = data.find(magic)
        while at >= 0:
            try:
                content = decompress(data[at:])
            except (OSError, EOFError, lzma.LZMAError):
                content = b""
            if content.startswith(b"\x7fELF"):
                target.write_bytes(content)
                return
            at = data.find(magic, at + 1)
    raise LabError(f"{compressed.name}: no kernel found within")
