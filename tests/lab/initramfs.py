"""The initial RAM disk of the lab's guests: busybox, the modules that reach the root, early-init."""

import lzma
import pathlib
import shutil
import stat

from kernels import LabError

HERE = pathlib.Path(__file__).resolve().parent
# Over which bus the devices come, and what the root is mounted with.
MODULES = ("virtio_mmio", "virtio_blk", "virtio_console", "virtio-rng", "9pnet_virtio", "9p",
           "overlay", "ext4")
DIRECTORIES = ("bin", "dev", "proc", "sys", "modules", "lower", "lower/root", "lower/layer",
               "lower/control", "above", "new")


class Archive:
    """A cpio archive in the format "newc", as the kernel reads it."""

    def __init__(self):
        self.parts = []
        self.count = 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.count += 1
        path = name.encode() + b"\0"
        fields = (self.count, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        for piece in (header + path, content):
            self.parts += [piece, b"\0" * (-len(piece) % 4)]

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def build(kernel):
    """The archive for a kernel."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise LabError("busybox is missing: install busybox-static")
    archive = Archive()
    for name in DIRECTORIES:
        archive.add(name, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("bin/busybox", stat.S_IFREG | 0o755, pathlib.Path(busybox).read_bytes())
    archive.add("init", stat.S_IFREG | 0o755, (HERE / "early-init").read_bytes())
    order = []
    for file in kernel.module_files(*MODULES):
        content = file.read_bytes()
        if file.suffix == ".xz":
            content = lzma.decompress(content)
        name = file.name.removesuffix(".xz")
        order.append(name)
        archive.add(f"modules/{name}", stat.S_IFREG | 0o644, content)
    archive.add("modules/order", stat.S_IFREG | 0o644, "\n".join([*order, ""]).encode())
    return archive.bytes()
