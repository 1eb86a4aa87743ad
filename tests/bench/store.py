"""Listing many images beside podman; save and load beside copying the bytes and hashing them once.

    store.py [IMAGES]     by itself; also `./dev bench store`
"""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "storage"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from image_maker import Image, sha256, tar_of  # noqa: E402
from store_support import new_store  # noqa: E402

ROUNDS = 7


def seconds(*commands):
    """The least wall and CPU time of each of some commands, run in turn."""
    best = [[] for _ in commands]
    for _ in range(ROUNDS):
        for i, command in enumerate(commands):
            before, begin = os.times(), time.perf_counter()
            command()
            after = os.times()
            best[i].append((time.perf_counter() - begin,
                            after.children_user + after.children_system + after.user + after.system
                            - before.children_user - before.children_system - before.user
                            - before.system))
    return [(min(wall for wall, _ in each), min(cpu for _, cpu in each)) for each in best]


def call(*words, **more):
    more.setdefault("stdout", subprocess.DEVNULL)
    subprocess.run(list(map(str, words)), check=True, stdin=subprocess.DEVNULL, **more)


# --- images ------------------------------------------------------------------------------------------


def many_images(count):
    layer = tar_of(("etc", None), ("etc/content", b"x"))
    return [Image(layer, labels={"number": str(i)}) for i in range(count)]


def fill_podman(directory, images):
    """An image loaded by podman, and the rest written beside it as it has written that."""
    podman = ["podman", "--root", directory / "root", "--runroot", directory / "run",
              "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
    archive = images[0].write_docker_archive(directory / "one.tar", "example.org/many:0")
    call(*podman, "load", "-q", "-i", archive)
    store = directory / "root/vfs-images"
    first = json.loads((store / "images.json").read_text())[0]
    manifest = json.loads((store / first["id"] / "manifest").read_text())
    listed = [first]
    for number, image in enumerate(images[1:], 1):
        config = image.config_bytes()
        name = "sha256:" + image.id
        document = json.loads(json.dumps(manifest))
        document["config"].update(digest=name, size=len(config))
        text = json.dumps(document).encode()
        digest = "sha256:" + sha256(text)
        data = {"manifest": text, "manifest-" + digest: text, name: config}
        place = store / image.id
        place.mkdir()
        for key, content in data.items():
            encoded = key if key == "manifest" else "=" + base64.b64encode(key.encode()).decode()
            (place / encoded).write_bytes(content)
        listed.append({**first, "id": image.id, "digest": digest,
                       "names": [f"example.org/many:{number}"], "names-history": [],
                       "big-data-names": list(data),
                       "big-data-sizes": {key: len(content) for key, content in data.items()},
                       "big-data-digests": {key: "sha256:" + sha256(content)
                                            for key, content in data.items()}})
    (store / "images.json").write_text(json.dumps(listed))
    shown = subprocess.run([*map(str, podman), "images", "-q"], capture_output=True, text=True,
                           check=True).stdout.split()
    if len(shown) != len(images):
        raise ValueError(f"podman lists {len(shown)} images of {len(images)}")
    return podman


def archive_of_many(path, images):
    members, listed = {}, []
    for number, image in enumerate(images):
        for name, content in image.docker_members():
            members.setdefault(name, content)
        listed.append({"Config": image.id + ".json", "RepoTags": [f"example.org/many:{number}"],
                       "Layers": [f"{sha256(tar)}/layer.tar" for tar in image.tars]})
    members["manifest.json"] = json.dumps(listed).encode()
    path.write_bytes(tar_of(*members.items()))


def listing(count, with_podman=True):
    images = many_images(count)
    with new_store() as store:
        archive_of_many(store.directory / "many.tar", images)
        store.does("load", "-i", store.directory / "many.tar", timeout=600)
        if len(store.names()) != count:
            raise ValueError("not all images were loaded")
        commands = [lambda: call(*store.command("images"))]
        if with_podman:
            (store.directory / "podman").mkdir()
            podman = fill_podman(store.directory / "podman", images)
            commands.append(lambda: call(*podman, "images"))
        times = seconds(*commands)
    print(f"### Listing {count} images\n\n| | wall ms | CPU ms |\n|---|---|---|")
    for name, (wall, cpu) in zip(("bulkhead images", "podman images"), times):
        print(f"| {name} | {wall * 1000:.1f} | {cpu * 1000:.1f} |")
    print(flush=True)
    return times


# --- save and load -------------------------------------------------------------------------------------


def large_tree(megabytes):
    """Files of all sizes, half of what they have is noise."""
    noise = os.urandom(1 << 20)
    members, total, number = [("d", None)], 0, 0
    while total < megabytes << 20:
        size = (4096 << (number % 9)) - 100
        start = (number * 7919) % (len(noise) - size) if size < len(noise) else 0
        members.append((f"d/{number}", noise[start:start + size // 2] + b"." * (size - size // 2)))
        total += size
        number += 1
    return tar_of(*members)


def copy_and_hash(source, target):
    """The bound: each byte is read, hashed and written once, by one thread."""
    digest = hashlib.sha256()
    with open(source, "rb", buffering=0) as read, open(target, "wb", buffering=0) as write:
        buffer = bytearray(1 << 20)
        view = memoryview(buffer)
        while count := read.readinto(buffer):
            digest.update(view[:count])
            write.write(view[:count])
    return digest.hexdigest()


def unpack(source, target, kind):
    """The bound of a load: what the layer's files cost with the fastest programs there are."""
    target.mkdir()
    tool = {"": "cat", "gzip": "igzip -dc", "zstd": "zstd -dc"}[kind]
    if kind == "gzip" and not shutil.which("igzip"):
        tool = "gzip -dc"
    call("sh", "-c", f"{tool} '{source}' | tar -C '{target}' -x")


def save_and_load(megabytes, kind):
    image = Image(large_tree(megabytes), compression=kind)
    rows = {}
    with new_store() as store:
        archive = image.write_docker_archive(store.directory / "in.tar", "large:1")
        layer = store.directory / "layer"
        layer.write_bytes(image.blobs[0])
        out, tree = store.directory / "out", store.directory / "tree"
        del image

        def load():
            shutil.rmtree(store.root, ignore_errors=True)
            store.does("load", "-i", archive)

        def bound():
            out.unlink(missing_ok=True)
            copy_and_hash(archive, out)

        def bound_with_files():
            bound()
            shutil.rmtree(tree, ignore_errors=True)
            unpack(layer, tree, kind)

        def save():
            out.unlink(missing_ok=True)
            store.does("save", "-o", out, "large:1")

        rows["load"], rows["copy, hash and unpack"] = seconds(load, bound_with_files)
        rows["save"], rows["copy and hash"] = seconds(save, bound)
    size = f"{megabytes} MB, {kind or 'plain'}"
    print(f"### Save and load, {size}\n\n| | wall ms | CPU ms |\n|---|---|---|")
    for name, (wall, cpu) in rows.items():
        print(f"| {name} | {wall * 1000:.0f} | {cpu * 1000:.0f} |")
    print(flush=True)
    return rows


def run(count=1000, megabytes=200):
    with_podman = shutil.which("podman") is not None
    times = listing(count, with_podman)
    results = {("images", name): each for name, each in zip(("bulkhead", "podman"), times)}
    for kind in ("", "gzip", "zstd"):
        for name, each in save_and_load(megabytes, kind).items():
            results[name, kind] = each
    return results


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
