#!/usr/bin/env python3
"""Images that one tool wrote and another reads: the files must be the same, to the last attribute.

    exchange_suite.py --table    prints the table of docs/images.md
    exchange_suite.py --write    writes it there
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

from image_maker import Image, differences, tar_of, tree_of
from store_support import FULL, Suite, Skip, equal, expect, main, new_store

suite = Suite("exchange")
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs/images.md"
BEGIN, END = "<!-- begin: exchange_suite.py --write -->", "<!-- end -->"
NAME = "example.org/exchange/image:1"


# Revision 2, effective: CAP_NET_BIND_SERVICE permitted.
CAPABILITY = "\x01\0\0\x02\0\x04\0\0" + "\0" * 12


def pax(**attributes):
    return {"pax_headers": {"SCHILY.xattr." + name.replace("__", "."): value
                            for name, value in attributes.items()}}


def rich_image(**more):
    """What tools have got wrong: owners, special bits, links, attributes, whiteouts, names."""
    lower = tar_of(
        ("bin", None), ("bin/tool", b"tool" * 999, {"mode": 0o4755, "uid": 1000, "gid": 1001}),
        ("bin/hard", b"", {"type": tarfile.LNKTYPE, "linkname": "bin/tool", "mode": 0o4755,
                           "uid": 1000, "gid": 1001}),
        ("bin/soft", b"", {"type": tarfile.SYMTYPE, "linkname": "../bin/tool", "mode": 0o777,
                           "uid": 5}),
        ("tmp", None, {"mode": 0o1777}), ("group", None, {"mode": 0o2750, "gid": 77}),
        ("gone", None), ("gone/file", b"gone"), ("hidden", None), ("hidden/old", b"old"),
        ("replaced", b"before"), ("kind", None), ("kind/file", b"x"),
        ("large-owner", b"o", {"uid": 60_000, "gid": 60_001}),
        ("fifo", b"", {"type": tarfile.FIFOTYPE, "mode": 0o600}),
        ("empty", b""), ("noted", b"n", pax(user__note="a value", user__other="ü")),
        ("capable", b"c", {"mode": 0o755, **pax(security__capability=CAPABILITY)}),
        ("a" * 120, None), ("a" * 120 + "/" + "b" * 120, b"long"), ("ünïcödé", None),
        ("ünïcödé/файл", b"unicode"),
        ("spaces and\ttabs", b"s"), ("no-permissions", b"p", {"mode": 0}))
    upper = tar_of(
        (".wh.gone", b""), ("hidden", None), ("hidden/.wh..wh..opq", b""), ("hidden/new", b"new"),
        ("replaced", b"after", {"mode": 0o600}), ("kind", b"now a file"), ("bin", None),
        ("bin/tool", b"changed", {"mode": 0o2755, "uid": 1000, "gid": 1001}))
    return Image(lower, upper, **more)


def image_without_entries():
    """Layers that write in directories and have no entries for them: those of the layers below count."""
    lower = tar_of(
        ("group", None, {"mode": 0o2750, "gid": 77}), ("group/deep", None, {"mode": 0o711, "uid": 9}),
        ("noted", None, {"mode": 0o700, "uid": 1000, **pax(user__note="a value")}),
        ("gone", None, {"mode": 0o700}), ("gone/old", b"old"),
        ("opaque", None, {"mode": 0o700}), ("opaque/deep", None, {"mode": 0o700}))
    middle = tar_of(("group/deep/file", b"1"), ("noted/new/file", b"2"), (".wh.gone", b""),
                    ("opaque", None, {"mode": 0o711}), ("opaque/.wh..wh..opq", b""))
    upper = tar_of(("group/deep/other", b"3"), ("noted/new", None, {"mode": 0o1777}),
                   ("noted/new/more", b"4"), ("gone/new", b"5"), ("opaque/deep/file", b"6"))
    top = tar_of(("group/last", b"7"), ("noted/new/last", b"8"))
    return Image(lower, middle, upper, top)


def run(*words, **more):
    done = subprocess.run(list(map(str, words)), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", timeout=120, check=False, **more)
    if done.returncode != 0:
        raise OSError(f"{words}: {done.stderr.strip()[-400:]}")
    return done.stdout.strip()


class Tools:
    """Other tools with stores of their own, in `directory`."""

    def __init__(self, directory):
        self.directory = directory
        self.number = 0
        (directory / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        # Podman takes no longer one.
        self.runroot = tempfile.mkdtemp(prefix="bx-", dir="/dev/shm")
        storage = ["--root", str(directory / "containers"), "--runroot", self.runroot,
                   "--storage-driver", "vfs"]
        self.buildah = ["buildah", *storage]
        self.podman = ["podman", *storage, "--cgroup-manager", "cgroupfs", "--events-backend",
                       "file"]

    def path(self, suffix=""):
        self.number += 1
        return self.directory / f"made-{self.number}{suffix}"

    def skopeo(self, source, target, *more):
        run("skopeo", "--insecure-policy", "copy", "-q", *more, source, target)
        return target

    def layout_of(self, image):
        """An OCI layout of the same image, for tools that read nothing else."""
        if image.startswith("oci:"):
            return image
        return self.skopeo(image, f"oci:{self.path()}:1")

    # --- readers: the image's tree ---------------------------------------------------------------

    @contextlib.contextmanager
    def read_by_umoci(self, image):
        layout = self.layout_of(image)
        directory = layout.split(":")[1]
        tag = json.loads((pathlib.Path(directory) / "index.json").read_text())["manifests"][0][
            "annotations"]["org.opencontainers.image.ref.name"]
        target = self.path()
        run("umoci", "raw", "unpack", "--image", f"{directory}:{tag}", target)
        yield target

    @contextlib.contextmanager
    def read_by_buildah(self, image):
        container = run(*self.buildah, "from", "--signature-policy", self.directory / "policy.json",
                        "-q", image)
        try:
            yield pathlib.Path(run(*self.buildah, "mount", container))
        finally:
            run(*self.buildah, "rm", container)

    @contextlib.contextmanager
    def read_by_podman(self, image):
        kind, _, rest = image.partition(":")
        if kind == "oci":
            image = self.skopeo(image, f"oci-archive:{self.path()}:{NAME}")
            kind, _, rest = image.partition(":")
        said = run(*self.podman, "load", "-q", "--signature-policy",
                   self.directory / "policy.json", "-i", rest.removesuffix(":" + NAME))
        name = said.rsplit(" ", 1)[-1]
        try:
            yield pathlib.Path(run(*self.podman, "image", "mount", name))
        finally:
            run(*self.podman, "image", "rm", "-f", name)

    @contextlib.contextmanager
    def read_by_bulkhead(self, image):
        _, _, rest = image.partition(":")
        path = rest.removesuffix(":" + NAME)
        if not os.path.exists(path):
            path = path.rpartition(":")[0]
        with new_store() as store:
            said = store.does("load", "-i", path)
            with store.tree(said.split()[-1]) as tree:
                yield tree
            store.check()

    # --- writers: names of images as skopeo has them ---------------------------------------------

    def written_by_skopeo(self, image):
        layout = image.write_layout(self.path(), "1")
        source = f"oci:{layout}:1"
        made = [] if image.layer_type.endswith("zstd") else [  # "not supported for docker images"
            self.skopeo(source, f"docker-archive:{self.path()}:{NAME}")]
        return [*made, self.skopeo(source, f"oci-archive:{self.path()}:{NAME}"),
                self.skopeo(source, f"oci:{self.path()}:1", "--dest-compress-format", "zstd")]

    def written_by_buildah(self, image):
        layout = image.write_layout(self.path(), "1")
        container = run(*self.buildah, "from", "-q", f"oci:{layout}:1")
        tree = pathlib.Path(run(*self.buildah, "mount", container))
        (tree / "added").write_text("by buildah")
        os.setxattr(tree / "added", "user.added", b"too")
        (tree / "noted").unlink()
        run(*self.buildah, "commit", "-q", "--rm", container, NAME)
        made = [f"docker-archive:{self.path()}:{NAME}", f"oci-archive:{self.path()}:{NAME}",
                f"oci:{self.path()}:1"]
        for target in made:
            run(*self.buildah, "push", "-q", "--signature-policy", self.directory / "policy.json",
                NAME, target)
        return made

    def written_by_podman(self, image):
        archive = image.write_docker_archive(self.path(), NAME)
        run(*self.podman, "load", "-q", "-i", archive)
        made = []
        for form in ("docker-archive", "oci-archive"):
            path = self.path()
            run(*self.podman, "save", "-q", "--format", form, "-o", path, NAME)
            made.append(f"{form}:{path}:{NAME}")
        return made

    def written_by_umoci(self, image):
        layout = image.write_layout(self.path(), "1")
        bundle = self.path()
        run("umoci", "unpack", "--image", f"{layout}:1", bundle)
        (bundle / "rootfs/added").write_text("by umoci")
        os.setxattr(bundle / "rootfs/added", "user.added", b"too")
        (bundle / "rootfs/noted").unlink()
        run("umoci", "repack", "--image", f"{layout}:1", bundle)
        return [f"oci:{layout}:1"]

    def written_by_bulkhead(self, image):
        made = []
        with new_store() as store:
            store.does("load", "-i", image.write_docker_archive(self.path(), NAME))
            for form, kind in (("docker-archive", "docker-archive"), ("oci-archive", "oci-archive"),
                               ("oci-dir", "oci")):
                path = self.path()
                store.does("save", "--format", form, "-o", path, NAME)
                made.append(f"{kind}:{path}" + ("" if kind == "oci" else ":" + NAME))
        return made


TOOLS = ("bulkhead", "skopeo", "buildah", "podman", "umoci")
READERS = ("bulkhead", "buildah", "podman", "umoci")
COMPRESSIONS = ("", "gzip", "zstd")
UNREAD = "cannot be read: "


def require_tools():
    for tool in TOOLS[1:]:
        if not shutil.which(tool):
            raise Skip(f"{tool} is not installed")


def exchange(directory, writer, everything=False):
    """(format, reader, differences) for all that the writer writes."""
    for how in COMPRESSIONS if FULL or everything else COMPRESSIONS[1:2]:
        tools = Tools(directory / f"{writer}-{how or 'plain'}")
        try:
            yield from exchange_by(tools, writer, how)
        finally:
            shutil.rmtree(tools.runroot, ignore_errors=True)


def exchange_by(tools, writer, how):
    # umoci is the judge: it shares no code with us nor with the others' storage. It does not know zstd:
    # then it judges by the same image with plain layers, which the writer has not changed.
    expected = None
    if how == "zstd" or writer == "skopeo":
        plain = rich_image().write_layout(tools.path(), "1")
        with tools.read_by_umoci(f"oci:{plain}:1") as judge:
            expected = tree_of(judge)
    if how == "zstd" and writer in ("buildah", "umoci"):
        return  # what they add is compressed as they please
    for image in getattr(tools, "written_by_" + writer)(rich_image(compression=how)):
        kind = image.partition(":")[0] + (f", {how}" if how else "")
        judged = expected
        if judged is None:
            with tools.read_by_umoci(image) as judge:
                judged = tree_of(judge)
        for reader in READERS:
            try:
                with getattr(tools, "read_by_" + reader)(image) as tree:
                    found = differences(judged, tree_of(tree))
            except (OSError, AssertionError) as error:
                found = [UNREAD + str(error)]
            yield kind, reader, found


def each_writer(writer):
    def test(store):
        require_tools()
        for name in COMPRESSIONS:
            (store.directory / f"{writer}-{name or 'plain'}").mkdir()
        # We read all, and all read us; umoci 0.4 knows no zstd, whoever wrote it.
        wrong = [f"{kind} read by {reader}: {'; '.join(found)}"
                 for kind, reader, found in exchange(store.directory, writer)
                 if found and "bulkhead" in (reader, writer)
                 and not (reader == "umoci" and "mediatype" in found[0])]
        expect(not wrong, " | ".join(wrong))
    test.__name__ = f"{writer} writes and others read"
    suite.test(test)


for each in TOOLS:
    each_writer(each)


@suite.test
def directories_without_entries_are_what_the_layers_below_say(store):
    require_tools()
    tools = Tools(store.directory)
    try:
        layout = image_without_entries().write_layout(tools.path(), "1")
        with tools.read_by_umoci(f"oci:{layout}:1") as judge:
            expected = tree_of(judge)
    finally:
        shutil.rmtree(tools.runroot, ignore_errors=True)
    # What nobody has an entry for is as it comes, but for its time; umoci then changes that of the
    # directory in which it makes it, too.
    for name in (b"gone", b"opaque/deep"):
        equal((expected[name]["mode"], expected[name]["uid"]), (0o755, 0), name)
        expected[name]["mtime"] = 0
    for name in (b"noted", b"opaque"):
        expected[name]["mtime"] = 1_000_000_000
    store.does("load", "-i", image_without_entries().write_docker_archive(store.directory / "image.tar",
                                                                          NAME))
    with store.tree(NAME) as tree:
        equal(differences(expected, tree_of(tree)), [])
    store.check()
    expect("The store is whole." in store.does("system", "check", "--contents"), "the same each time")
    # The control: without the layer that says it, it is something else.
    shutil.rmtree(pathlib.Path(
        store.inspect(NAME)["GraphDriver"]["Data"]["LowerDir"].split(":")[0]) / "group")
    with store.tree(NAME) as tree:
        expect(differences(expected, tree_of(tree)), "the layers by themselves are the same")
    expect(store.call("system", "check", "--repair").returncode == 0, "it is made again")
    with store.tree(NAME) as tree:
        equal(differences(expected, tree_of(tree)), [])
    store.check()


# --- the table -----------------------------------------------------------------------------------------


def reason(text):
    """Without the command and what is another one each time."""
    return re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", text.rpartition("⨯ ")[2]).strip()


def table():
    lines = ["| Written by | as | " + " | ".join(READERS) + " |",
             "|---" * (2 + len(READERS)) + "|"]
    notes = []
    for writer in TOOLS:
        rows = {}
        with new_store() as store:
            for how in COMPRESSIONS:
                (store.directory / f"{writer}-{how or 'plain'}").mkdir()
            for kind, reader, found in exchange(store.directory, writer, everything=True):
                text = "equal"
                if found:
                    note = f"{reader}: " + reason("; ".join(found))
                    if note not in notes:
                        notes.append(note)
                    text = "differs" if not found[0].startswith(UNREAD) else "not read"
                    text += f" ({notes.index(note) + 1})"
                rows.setdefault(kind, {})[reader] = text
        lines += [f"| {writer} | {kind} | " + " | ".join(row[each] for each in READERS) + " |"
                  for kind, row in rows.items()]
    lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]
    return "\n".join(lines).rstrip() + "\n"


def with_table(page, text):
    head = page.partition(BEGIN)[0].rstrip("\n")
    tail = page.partition(END)[2].lstrip("\n")
    return f"{head}\n\n{BEGIN}\n{text}{END}\n{tail}"


if FULL:
    @suite.test
    def the_document_says_what_is_found(_):
        require_tools()
        page = DOCUMENT.read_text(encoding="utf-8")
        expect(with_table(page, table()) == page, "write it anew: exchange_suite.py --write")


def document(arguments):
    text = table()
    if "--write" not in arguments:
        print(text)
        return 0
    page = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(with_table(page, text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    if any(word in ("--table", "--write") for word in sys.argv) and "--in-namespace" in sys.argv:
        sys.exit(document(sys.argv))
    sys.exit(main(suite))
