"""An image of a realistic size from this machine's own /usr, as OCI layouts: the same files in one layer and
in four, by gzip and by zstd. The same machine makes the same image each time."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import stat
import subprocess
import tarfile

BYTES = 300 << 20
FILES = 11_000
# The share of each place in bytes and in files: programs and libraries weigh most in images, and documents,
# modules and headers are the most files.
PLACES = {"/usr/bin": (0.25, 0.08), "/usr/lib/x86_64-linux-gnu": (0.3, 0.07), "/usr/lib": (0.2, 0.3),
          "/usr/share": (0.15, 0.35), "/usr/include": (0.1, 0.2)}
LARGEST = 24 << 20
SKIPPED = ("/usr/share/locale", "/usr/lib/modules", "/usr/lib/firmware")


def walk(top):
    for directory, names, files in os.walk(top):
        names[:] = sorted(name for name in names if f"{directory}/{name}" not in SKIPPED)
        yield directory
        for name in sorted(files):
            yield f"{directory}/{name}"


def ordered(path):
    return hashlib.sha256(path.encode(errors="surrogateescape")).digest()


def chosen():
    """Paths in the order of a tree walk: of each place whole directories, to its share of bytes and files."""
    taken = {}
    for place, (share, file_share) in PLACES.items():
        directories = {}
        for path in walk(place):
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            fits = kind == stat.S_IFLNK or (kind == stat.S_IFREG and status.st_size < LARGEST)
            if fits and path not in taken:
                directories.setdefault(os.path.dirname(path), []).append((path, status))
        count, size = 0, 0
        # In an order that has nothing to do with size or name, and the same each time.
        for directory in sorted(directories, key=ordered):
            files = sorted(directories[directory], key=lambda one: ordered(one[0]))
            for path, status in files[:max(8, int(FILES * file_share / 4))]:
                weight = status.st_size if stat.S_ISREG(status.st_mode) else 0
                if count >= FILES * file_share or size + weight > BYTES * share:
                    continue
                taken[path] = status
                count, size = count + 1, size + weight
    for path in list(taken):
        for parent in pathlib.PurePath(path).parents:
            if str(parent) not in ("/", "/usr"):
                taken.setdefault(str(parent), os.lstat(parent))
    return sorted(taken)


def tar_of(paths):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in paths:
            member = tar.gettarinfo(path, path.lstrip("/"))
            if member is None or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
                continue
            member.mtime = int(member.mtime)
            member.uname = member.gname = ""
            if member.isreg():
                with open(path, "rb") as content:
                    tar.addfile(member, content)
            else:
                tar.addfile(member)
    return out.getvalue()


def compressed(tar, how):
    if how == "gzip":
        return gzip.compress(tar, 6, mtime=0)
    return subprocess.run(["zstd", "-q", "-3", "-c"], input=tar, capture_output=True, check=True).stdout


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Layout:
    """An OCI layout directory with one image, tagged `latest`."""

    def __init__(self, path, layers, how):
        self.path = pathlib.Path(path)
        (self.path / "blobs/sha256").mkdir(parents=True)
        machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        config = {"architecture": machine, "os": "linux", "config": {"Cmd": ["/bin/true"]},
                  "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
                  "history": [{"created_by": "bench"} for _ in layers]}
        kind = "application/vnd.oci.image."
        manifest = {"schemaVersion": 2, "mediaType": f"{kind}manifest.v1+json",
                    "config": self.add(f"{kind}config.v1+json", json.dumps(config).encode()),
                    "layers": [self.add(f"{kind}layer.v1.tar+{how}", compressed(layer, how))
                               for layer in layers]}
        self.layers = [layer["digest"].split(":")[1] for layer in manifest["layers"]]
        entry = self.add(manifest["mediaType"], json.dumps(manifest).encode())
        entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
        (self.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")
        index = {"schemaVersion": 2, "manifests": [entry]}
        (self.path / "index.json").write_text(json.dumps(index), encoding="utf-8")

    def add(self, kind, data):
        (self.path / "blobs/sha256" / digest(data).split(":")[1]).write_bytes(data)
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}


def split(paths, count):
    """In runs of the walk, as image layers hold whole subtrees, of about the same number of bytes."""
    sizes = [os.lstat(path).st_size for path in paths]
    total, parts, at = sum(sizes), [[] for _ in range(count)], 0
    for path, size in zip(paths, sizes, strict=True):
        parts[min(count - 1, at * count // total)].append(path)
        at += size
    return parts


def make(directory):
    """{(compression, layers): Layout} and what is in it: (bytes of the tar, files)."""
    paths = chosen()
    layouts, size = {}, 0
    for count in (1, 4):
        tars = [tar_of(part) for part in split(paths, count)]
        size = sum(map(len, tars))
        for how in ("gzip", "zstd"):
            layouts[how, count] = Layout(pathlib.Path(directory) / f"{how}-{count}", tars, how)
    return layouts, (size, len(paths))
