#!/usr/bin/env python3
"""save, load and import: formats, what is kept to the byte, and archives that attack their reader."""

import json
import os
import pathlib
import subprocess
import sys
import tarfile
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import jsonschema

    class Local(jsonschema.RefResolver):
        """References lead to the files beside the schema, and never to a network."""
        def resolve_remote(self, uri):
            return json.loads((SCHEMAS / uri.rpartition("/")[2]).read_text())

from image_maker import Image, compressed, sha256, small_image, tar_of, tree_of
from store_support import Suite, equal, expect, main

suite = Suite("archives")
SCHEMAS = pathlib.Path(__file__).resolve().parents[1] / "data/image-spec/schema"
CANARY = pathlib.Path("/tmp/planted-by-bulkhead-test")


def two_layers(**more):
    return Image(tar_of(("d", None), ("d/one", b"1" * 100_000, {"mode": 0o4755, "uid": 7})),
                 tar_of(("d/.wh.one", b""), ("two", b"2" * 50_000)), **more)


def members(path):
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}


@suite.test
def takes_every_format_and_compression_to_the_same_image(store):
    # The archive's compression, that of its layers, and how it is handed in.
    for number, (how, of_layers) in enumerate((("", ""), ("gzip", ""), ("zstd", "gzip"),
                                               ("", "zstd"), ("", "gzip"), ("gzip", "zstd"))):
        image = two_layers(compression=of_layers)
        write = (image.write_docker_archive, image.write_oci_archive)[number % 2]
        what = f"{write.__name__}, {how}, layers {of_layers}"
        path = write(store.directory / "archive", "some/name:tag")
        path.write_bytes(compressed(path.read_bytes(), how))
        for words, more in ((("-i", path), {}), ((), {"stdin": path.open("rb")}),
                            ((), {"input": path.read_bytes()})):
            said = store.does("load", *words, text=False, **more).decode()
            equal(said, "Loaded image: some/name:tag\n", what)
            equal(store.inspect("some/name:tag")["Id"], "sha256:" + image.id)
            with store.tree("some/name:tag") as tree:
                equal(sorted(tree_of(tree)), [b"d", b"two"], what)
            if "input" not in more:
                store.does("rmi", "some/name:tag")
                equal(store.left(), [], f"{what}: left")
        store.check(what)
        store.does("rmi", "some/name:tag")


@suite.test
def takes_a_layout_directory_and_images_without_names(store):
    image = two_layers()
    layout = image.write_layout(store.directory / "layout", "latest")
    equal(store.does("load", "-i", layout), f"Loaded image ID: sha256:{image.id}\n",
          "a tag alone is no name")
    path = image.write_docker_archive(store.directory / "archive")
    equal(store.does("load", "-i", path), f"Loaded image ID: sha256:{image.id}\n")
    equal(len(store.names()), 1, "one image")
    store.check()


@suite.test
def gives_back_the_same_bytes(store):
    for how in ("", "gzip", "zstd"):
        image = two_layers(compression=how)
        store.does("load", "-i", image.write_oci_archive(store.directory / "in", "x/y:1"))
        for form in ("oci-archive", "docker-archive"):
            out = store.directory / "out"
            store.does("save", "--format", form, "-o", out, "x/y:1")
            found = members(out)
            if form == "oci-archive" or how != "zstd":
                for blob in (image.config_bytes(), image.manifest_bytes(), *image.blobs):
                    equal(found.get("blobs/sha256/" + sha256(blob)), blob, f"{form} {how}")
            if form == "docker-archive":
                listed = json.loads(found["manifest.json"])
                equal(listed[0]["RepoTags"], ["x/y:1"])
                equal(found[listed[0]["Config"]], image.config_bytes())
                # Docker before 23 has no zstd.
                layers = [found[name] for name in listed[0]["Layers"]]
                equal(layers, list(image.tars) if how == "zstd" else image.blobs, how)
            with open(store.directory / "piped", "wb") as file:
                store.does("save", "--format", form, "x/y:1", stdout=file, text=False)
            equal((store.directory / "piped").read_bytes(), out.read_bytes(), "through a pipe")
            out.unlink()
        store.does("image", "prune", "-af")


@suite.test
def what_it_writes_follows_the_specification(store):
    image = two_layers(compression="gzip")
    store.does("load", "-i", image.write_docker_archive(store.directory / "in", "x/y:1"))
    store.does("tag", "x/y:1", "x/y:2")
    out = store.directory / "layout"
    store.does("save", "--format", "oci-dir", "-o", out, "x/y")

    def validate(name, document):
        schema = json.loads((SCHEMAS / name).read_text())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            jsonschema.Draft4Validator(schema, resolver=Local.from_schema(schema)).validate(document)

    index = json.loads((out / "index.json").read_text())
    validate("image-index-schema.json", index)
    validate("image-layout-schema.json", json.loads((out / "oci-layout").read_text()))
    equal(sorted(each["annotations"]["org.opencontainers.image.ref.name"]
                 for each in index["manifests"]),
          ["docker.io/x/y:1", "docker.io/x/y:2"], "all tags of a name without one")
    for each in index["manifests"]:
        blob = out / "blobs" / each["digest"].replace(":", "/")
        manifest = json.loads(blob.read_text())
        equal(blob.stat().st_size, each["size"])
        validate("image-manifest-schema.json", manifest)
        config = out / "blobs" / manifest["config"]["digest"].replace(":", "/")
        validate("config-schema.json", json.loads(config.read_text()))
    try:
        validate("image-index-schema.json", {**index, "schemaVersion": 1})
        raise AssertionError("the schemas refuse nothing")
    except jsonschema.ValidationError:
        pass


@suite.test
def saves_whole_files_or_none(store):
    image = two_layers()
    store.does("load", "-i", image.write_docker_archive(store.directory / "in", "x:1"))
    out = store.directory / "out"
    out.write_text("before")
    blob = store.root / "blobs/sha256" / sha256(image.tars[0])
    good = blob.read_bytes()
    blob.write_bytes(good[:-1] + b"!")
    store.refuses("save", "-o", out, "x:1", because="is damaged")
    equal(out.read_text(), "before", "a damaged archive took its place")
    blob.unlink()
    store.refuses("save", "-o", out, "x:1", because="has lost the blob")
    store.refuses("save", "--format", "oci-dir", "-o", store.directory / "dir", "x:1",
                  because="has lost the blob")
    equal(sorted(path.name for path in store.directory.iterdir()), ["in", "out", "runroot", "store"],
          "left, beside the events of the run root")
    # To load it again puts right what was lost.
    store.does("load", "-i", store.directory / "in")
    store.does("save", "-o", out, "x:1")
    store.refuses("save", "--format", "oci-dir", "-o", store.directory, "x:1", because="is there")
    store.refuses("save", "-o", out, "absent", because="no such image")
    store.refuses("save", "--format", "zip", "-o", out, "x:1", code=125, because="zip")
    store.refuses("save", code=125)
    store.does("save", "x:1", stdout=subprocess.DEVNULL)
    equal(store.call("save", "x:1", stdout=open("/dev/full", "wb")).returncode, 1, "a full disk")


@suite.test
def keeps_the_manifest_that_it_has(store):
    image = two_layers(compression="zstd")
    store.does("load", "-i", image.write_oci_archive(store.directory / "in", "x:1"))
    plain = Image(*image.tars)
    store.does("load", "-i", plain.write_docker_archive(store.directory / "in", "y:1"))
    equal(store.inspect("y:1")["Descriptor"]["digest"], "sha256:" + sha256(image.manifest_bytes()))
    equal(store.inspect("y:1")["RepoTags"], ["x:1", "y:1"])


@suite.test
def imports_trees(store):
    tree = tar_of(("bin", None), ("bin/tool", b"tool", {"mode": 0o4755, "uid": 3, "gid": 4}))
    for how in ("", "gzip", "zstd"):
        data = compressed(tree, how)
        image_id = store.does(
            "import", "--change", 'CMD ["/bin/tool", "a b"]', "-c", "ENV A=1 B='two words'", "-c",
            "LABEL x=y", "-c", "EXPOSE 80 53/udp", "-c", "USER 5", "-c", "WORKDIR /w", "-c",
            "VOLUME /v", "-c", "STOPSIGNAL TERM", "-c", "ENTRYPOINT run this", "-c", "CMD now",
            "--message", "words", "-", "made:1", input=data, text=False).decode().strip()
        seen = store.inspect("made:1")
        equal(seen["Id"], image_id)
        equal({name: value for name, value in seen["Config"].items() if value}, {
            "User": "5", "ExposedPorts": {"53/udp": {}, "80/tcp": {}}, "Env": ["A=1", "B=two words"],
            "Entrypoint": ["/bin/sh", "-c", "run this"], "Cmd": ["/bin/sh", "-c", "now"],
            "Volumes": {"/v": {}}, "WorkingDir": "/w", "Labels": {"x": "y"}, "StopSignal": "TERM"})
        equal(seen["RootFS"]["Layers"], ["sha256:" + sha256(tree)])
        equal(seen["Comment"], "words")
        expect((store.root / "blobs/sha256" / sha256(data)).exists(), "the layer as it came")
        with store.tree("made:1") as found:
            status = (found / "bin/tool").stat()
            equal((status.st_mode & 0o7777, status.st_uid, status.st_gid), (0o4755, 3, 4))
    path = store.directory / "tree.tar"
    path.write_bytes(tree)
    equal(store.does("import", path).strip()[:7], "sha256:", "from a file, without a name")
    store.check()
    for words, because in ((["-c", "ONBUILD x", path], "ONBUILD"), (["-c", "ENV", path], "ENV"),
                           (["-c", "EXPOSE x", path], "EXPOSE"),
                           (["https://example.org/x.tar"], "curl"),
                           (["--platform", "windows/amd64", path], "windows")):
        store.refuses("import", *words, code=125, because=because)
    for data in (b"", b"no tar at all", tree[:600], tar_of()):
        store.refuses("import", "-", "bad:1", input=data, text=False)
    expect("bad:1" not in store.names(), "something was made of nothing")


def hostile_archives():
    """(what it tries, an archive): each must be refused, or do no harm."""
    image = small_image()
    good = image.docker_members("evil:1")
    config, manifest, layer = good
    oci = image.layout_members("evil:1")

    def docker(**changes):
        listed = json.loads(manifest[1])
        listed[0].update(changes)
        return tar_of(config, ("manifest.json", json.dumps(listed).encode()), layer)

    def layers_of(*tars):
        attack = Image(*tars)
        return tar_of(*attack.docker_members("evil:1"))

    other = Image(tar_of(("etc/content", b"the other's")))
    lying = Image(*image.tars)
    lying.config["rootfs"]["diff_ids"] = other.config["rootfs"]["diff_ids"]
    plant = str(CANARY)
    forged = [(name, content) for name, content in oci if content != image.blobs[0]]
    yield "a layer with another's diff id", tar_of(*lying.docker_members("evil:1"))
    yield "a config that is out of the archive", docker(Config="../../../../etc/passwd")
    yield "a layer that is out of the archive", docker(Layers=["/etc/passwd"])
    yield "more layers than the config has", docker(Layers=[layer[0], layer[0]])
    yield "fewer layers than the config has", docker(Layers=[])
    yield "a name that is none", docker(RepoTags=["../../evil"])
    yield "names that are no list", docker(RepoTags={"a": 1})
    yield "a layer that is a link out of the archive", tar_of(
        config, manifest, (layer[0], b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}))
    yield "a layer that is a link upwards", tar_of(
        config, manifest, (layer[0], b"", {"type": tarfile.SYMTYPE,
                                           "linkname": "../../../../../etc/passwd"}))
    yield "a link to itself", tar_of(
        config, manifest, (layer[0], b"", {"type": tarfile.SYMTYPE, "linkname": "layer.tar"}))
    yield "two manifests", tar_of(config, manifest, layer, ("manifest.json", b"[]"))
    yield "two of a layer", tar_of(config, manifest, layer, (layer[0], other.tars[0]))
    yield "an index twice", tar_of(*oci, oci[1])
    yield "a blob with another content", tar_of(*forged, ("blobs/sha256/" + sha256(image.blobs[0]),
                                                          other.blobs[0]))
    yield "a manifest of another digest", tar_of(*[
        (name, content + b" " if content == image.manifest_bytes() else content)
        for name, content in oci])
    yield "a member with ..", tar_of(("../" * 12 + plant[1:], b"x"), *good)
    yield "a layer with ..", layers_of(tar_of(("../" * 12 + plant[1:], b"x")))
    yield "a layer with a link and a file behind it", layers_of(tar_of(
        ("d", b"", {"type": tarfile.SYMTYPE, "linkname": "/tmp"}), ("d/" + CANARY.name, b"x")))
    yield "a hard link out of the layer", layers_of(tar_of(
        ("passwd", b"", {"type": tarfile.LNKTYPE, "linkname": "../../../../../etc/passwd"})))
    yield "no manifest", tar_of(config, layer)
    yield "an empty manifest", tar_of(config, ("manifest.json", b"[]"), layer)
    yield "a manifest of something else", tar_of(config, ("manifest.json", b'{"a":1}'), layer)
    yield "a deep manifest", tar_of(config, ("manifest.json", b"[" * 100_000), layer)
    yield "a cut archive", tar_of(*good)[:1500]
    yield "a cut gzip", compressed(tar_of(*good), "gzip")[:-20]
    yield "a bomb", compressed(tar_of(*good)[:-1024] + tar_of(
        ("bomb", b"\0" * (64 << 20)))[:-1024], "gzip")[:-4] + b"\xff\xff\xff\xff"
    yield "no archive", b"x" * 5000
    yield "nothing", b""


@suite.test
def refuses_archives_that_lie_or_lead_out(store):
    victim = Image(tar_of(("etc/content", b"the other's")))
    keep = small_image(b"kept")
    store.does("load", "-i", keep.write_docker_archive(store.directory / "keep", "keep:1"))
    before = store.left()
    for what, archive in hostile_archives():
        path = store.directory / "evil"
        path.write_bytes(archive)
        # Half of them through a pipe.
        way = [(("-i", path), {}), ((), {"input": archive, "text": False})][len(what) % 2]
        for words, more in (way,):
            CANARY.unlink(missing_ok=True)
            done = store.call("load", *words, **more)
            expect(not CANARY.exists(), f"{what}: it reached {CANARY}")
            harmless = what in ("a member with ..", "a layer with a link and a file behind it")
            expect(done.returncode == 1 or harmless, f"{what}: {done.returncode} {done.stdout!r}")
            layer = store.root / "layers" / victim.config["rootfs"]["diff_ids"][0][7:]
            expect(not layer.exists(), f"{what}: it took another layer's place")
            if done.returncode == 0:
                store.does("rmi", "evil:1")
            else:
                message = done.stderr if isinstance(done.stderr, str) else done.stderr.decode()
                expect("\x1b" not in message and message.startswith("bulkhead: load"),
                       f"{what}: {message!r}")
            equal(store.names(), ["keep:1"], what)
            store.check(what)
            store.does("image", "prune", "--force")
            equal(store.left(), before, f"{what}: left")


@suite.test
def a_naive_reader_falls_for_them(store):
    """The positive control: by Python's own unpacking, without its filter, the attacks work."""
    reached = set()
    for number, (what, archive) in enumerate(hostile_archives()):
        if what not in ("a member with ..", "a layer with ..",
                        "a layer with a link and a file behind it"):
            continue
        CANARY.unlink(missing_ok=True)
        directory = store.directory / "naive" / str(number) / "a/b/c"
        directory.mkdir(parents=True)
        path = directory / "archive"
        path.write_bytes(archive)

        def unpack(file):
            with tarfile.open(file) as tar:
                for member in tar:
                    if member.issym():
                        os.symlink(member.linkname, directory / member.name)
                    elif member.isreg():
                        target = directory / member.name
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(tar.extractfile(member).read())
            return [found for found in directory.rglob("layer.tar")]
        try:
            for layer in unpack(path):
                unpack(layer)
        except OSError:
            pass
        if CANARY.exists():
            reached.add(what)
        CANARY.unlink(missing_ok=True)
    equal(len(reached), 3, f"the attacks work: {reached}")


if __name__ == "__main__":
    sys.exit(main(suite))
