#!/usr/bin/env python3
"""Makes an OCI image named busybox from a statically linked busybox, as an oci-archive.

    make_busybox_image.py BUSYBOX OUTPUT.tar

The same busybox gives the same bytes: entries are sorted, owned by root and dated at the epoch.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import platform
import subprocess
import sys
import tarfile

EPOCH = "1970-01-01T00:00:00Z"
DIRECTORIES = {
    "bin": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "mnt": 0o755, "opt": 0o755,
    "proc": 0o555, "root": 0o700, "run": 0o755, "sbin": 0o755, "srv": 0o755, "sys": 0o555,
    "tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755, "usr/sbin": 0o755, "usr/share": 0o755,
    "usr/share/doc": 0o755, "usr/share/doc/busybox": 0o755, "var": 0o755, "var/cache": 0o755,
    "var/lib": 0o755, "var/log": 0o755, "var/spool": 0o755, "var/tmp": 0o1777,
}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
                  "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
                  "bin:x:2:2:bin:/bin:/bin/false\n"
                  "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\nbin:x:2:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/shells": "/bin/sh\n/bin/ash\n",
}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64", "ppc64le": "ppc64le",
                 "s390x": "s390x", "armv7l": "arm", "i686": "386"}


class Tar:
    """A tar in memory, made so that it does not depend on when and by whom."""

    def __init__(self):
        self._entries = {}

    def add(self, name, kind=tarfile.REGTYPE, mode=0o644, data=b"", target=""):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(data), target
        entry.uname, entry.gname = "root", "root"
        self._entries[name] = (entry, data)

    def bytes(self):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name in sorted(self._entries):
                entry, data = self._entries[name]
                tar.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()


def layer(busybox):
    tar = Tar()
    for name, mode in DIRECTORIES.items():
        tar.add(name + "/", tarfile.DIRTYPE, mode)
    for name, text in FILES.items():
        tar.add(name, data=text.encode())
    tar.add("bin/busybox", mode=0o755, data=busybox.read_bytes())
    licence = pathlib.Path("/usr/share/doc/busybox-static/copyright")
    if licence.exists():
        tar.add("usr/share/doc/busybox/copyright", data=licence.read_bytes())
    applets = subprocess.run([str(busybox), "--list-full"], capture_output=True, text=True,
                             check=True).stdout.split()
    for applet in applets:
        directory, _, name = applet.rpartition("/")
        if name != "busybox" and directory in DIRECTORIES:
            tar.add(applet, tarfile.SYMTYPE, 0o777, target="/bin/busybox")
    return tar.bytes()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def image(busybox):
    archive = Tar()

    def blob(media_type, data):
        archive.add("blobs/sha256/" + digest(data).split(":")[1], data=data)
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def document(value):
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    version = subprocess.run([str(busybox)], capture_output=True, text=True,
                             check=True).stdout.split()[1].removeprefix("v")
    content = layer(busybox)
    kind = "application/vnd.oci.image."
    layer_blob = blob(kind + "layer.v1.tar+gzip", gzip.compress(content, 9, mtime=0))
    config_blob = blob(kind + "config.v1+json", document({
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": EPOCH,
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["sh"],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(content)]},
        "history": [{"created": EPOCH, "created_by": f"busybox {version}, statically linked"}],
    }))
    manifest = blob(kind + "manifest.v1+json", document({
        "schemaVersion": 2,
        "mediaType": kind + "manifest.v1+json",
        "config": config_blob,
        "layers": [layer_blob],
        "annotations": {"org.opencontainers.image.version": version},
    }))
    manifest["annotations"] = {
        "io.containerd.image.name": "docker.io/library/busybox:latest",
        "org.opencontainers.image.ref.name": "busybox",
    }
    archive.add("oci-layout", data=document({"imageLayoutVersion": "1.0.0"}))
    archive.add("index.json", data=document({
        "schemaVersion": 2,
        "mediaType": kind + "index.v1+json",
        "manifests": [manifest],
    }))
    return archive.bytes()


def main():
    busybox, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_suffix(".unfinished")
    unfinished.write_bytes(image(busybox))
    os.replace(unfinished, output)


if __name__ == "__main__":
    main()
