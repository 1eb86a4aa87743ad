#!/usr/bin/env python3
"""The commands on images, as Docker's users know them."""

import json
import re
import sys

from image_maker import Image, small_image, tar_of
from store_support import Suite, equal, expect, image_file, main

suite = Suite("images")


def load(store, image, *names):
    store.does("load", "-i", image.write_docker_archive(store.directory / "image.tar", *names))
    return image.id


@suite.test
def lists_images_in_dockers_columns(store):
    equal(store.does("images"), "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n")
    image = small_image(b"y" * 5000)
    load(store, image, "one:1", "registry.example/two:2")
    lines = store.does("images").splitlines()
    expect(re.fullmatch(r"REPOSITORY {13,}TAG {7}IMAGE ID {7}CREATED {7,}SIZE", lines[0]), lines[0])
    expect(re.fullmatch(rf"one +1 +{image.id[:12]} +\d+ \w+ ago +5kB", lines[1]), lines[1])
    expect(lines[2].startswith("registry.example/two   2 "), lines[2])
    equal(store.does("images", "-q").split(), [image.id[:12]], "ids, each once")
    equal(store.does("images", "--quiet", "--no-trunc").split(), ["sha256:" + image.id])
    expect("DIGEST" in store.does("images", "--digests").splitlines()[0], "digests")
    equal(len(store.does("images", "one").splitlines()), 2, "of one repository")
    equal(len(store.does("images", "nothing").splitlines()), 1)


@suite.test
def formats_by_templates_and_says_what_it_does_not_know(store):
    image = small_image()
    load(store, image, "one:1")
    equal(store.does("images", "--format", "{{.ID}}|{{.Repository}}|{{.Tag}}"),
          f"{image.id[:12]}|one|1\n")
    equal(store.does("images", "--format", "table {{.Tag}}\\t{{.ID}}"),
          f"TAG       IMAGE ID\n1         {image.id[:12]}\n")
    row = json.loads(store.does("images", "--format", "json"))
    equal((row["Repository"], row["Tag"], row["ID"]), ("one", "1", image.id[:12]))
    equal(json.loads(store.does("images", "--format", "{{json .}}")), row)
    store.refuses("images", "--format", "{{.Nonsense}}", code=125, because="Nonsense")
    store.refuses("images", "--format", "{{nosuch .ID}}", code=125, because="nosuch")
    store.refuses("images", "--format", "{{.ID", code=125, because="}}")
    store.refuses("images", "--format", "yaml", code=125, because="no such format")
    store.refuses("images", "--nonsense", code=125, because="--nonsense")
    equal(store.does("image", "inspect", "-f", "{{.Id}} {{.Architecture}} {{index .RepoTags 0}} "
                     "{{json .Config.Cmd}} {{len .RootFS.Layers}}", "one:1"),
          f"sha256:{image.id} {image.config['architecture']} one:1 [\"sh\"] 1\n")


@suite.test
def filters(store):
    load(store, small_image(b"old", created="2020-01-01T00:00:00Z", labels={"a": "1"}), "old:1")
    load(store, small_image(b"new", created="2024-01-01T00:00:00Z", labels={"a": "2"}), "new:1")
    load(store, small_image(b"bare", created="2022-01-01T00:00:00Z"))

    def listed(*filters):
        words = [word for each in filters for word in ("--filter", each)]
        return store.does("images", "--format", "{{.Repository}}", *words).split()

    equal(listed(), ["new", "<none>", "old"], "the newest first")
    equal(listed("dangling=true"), ["<none>"])
    equal(listed("dangling=false"), ["new", "old"])
    equal(listed("label=a"), ["new", "old"])
    equal(listed("label=a=1"), ["old"])
    equal(listed("reference=n*"), ["new"])
    equal(listed("reference=n*", "reference=old:1"), ["new", "old"])
    equal(listed("before=new:1"), ["<none>", "old"])
    equal(listed("since=old:1"), ["new", "<none>"])
    equal(listed("until=2021-01-01"), ["old"])
    store.refuses("images", "--filter", "colour=red", code=125, because="colour=red")
    store.refuses("images", "--filter", "before=absent", because="no such image")


@suite.test
def tags_and_moves_names(store):
    first, second = small_image(b"1"), small_image(b"2")
    load(store, first, "a:1")
    load(store, second, "b:1")
    store.does("tag", "a:1", "registry.example:5000/x/y:z")
    store.does("tag", first.id[:8], "c")
    equal(store.names(), ["a:1", "b:1", "c:latest", "registry.example:5000/x/y:z"])
    store.does("tag", "b:1", "a:1")
    equal(store.inspect("a:1")["Id"], "sha256:" + second.id, "the name moved")
    store.refuses("tag", "absent", "d", because="no such image")
    store.refuses("tag", "a:1", "x/UPPER", because="upper-case")
    store.refuses("tag", "a:1", "x@sha256:" + "0" * 64, because="digest")
    store.refuses("tag", "a:1", code=125)
    store.check()


@suite.test
def finds_images_by_name_id_and_the_beginning_of_an_id(store):
    images = [small_image(str(i).encode()) for i in range(40)]
    for i, image in enumerate(images):
        load(store, image, f"localhost/n{i}:1")
    equal(store.inspect("n3:1")["Id"], "sha256:" + images[3].id, "a name of another registry")
    for text in (images[5].id, "sha256:" + images[5].id, images[5].id[:20]):
        equal(store.inspect(text)["Id"], "sha256:" + images[5].id, text)
    # Forty images and sixteen digits: some two begin with the same.
    first = [image.id[0] for image in images]
    twice = next(digit for digit in first if first.count(digit) > 1)
    message = store.refuses("tag", twice, "x", because="ambiguous")
    expect(all(image.id[:12] in message for image in images if image.id[0] == twice)
           or first.count(twice) > 10, message)
    store.does("tag", "n1:1", "registry.example/n3:1")
    message = store.refuses("tag", "n3:1", "x", because="ambiguous")
    expect("localhost/n3:1" in message and "registry.example/n3:1" in message, message)
    store.refuses("image", "inspect", "absent", because='no such image: "absent"')


@suite.test
def removes_names_first_and_images_with_the_last(store):
    image = small_image()
    load(store, image, "a:1", "a:2", "b:1")
    equal(store.does("rmi", "a:1"), "Untagged: a:1\n")
    store.refuses("rmi", image.id[:12], because="several repositories")
    equal(store.names(), ["a:2", "b:1"], "nothing was removed")
    store.does("rmi", "a:2")
    lines = store.does("rmi", "b:1").splitlines()
    equal(lines, ["Untagged: b:1", f"Deleted: sha256:{image.id}",
                  "Deleted: " + image.config["rootfs"]["diff_ids"][0]])
    equal(store.left(), [], "left on the disk")
    store.refuses("rmi", "b:1", because="no such image")
    load(store, image, "a:1", "b:1")
    equal(store.does("image", "rm", "-f", image.id[:12]).splitlines()[:3],
          ["Untagged: a:1", "Untagged: b:1", f"Deleted: sha256:{image.id}"])
    load(store, image, "a:1")
    done = store.call("rmi", "absent", "a:1")
    equal((done.returncode, done.stdout.splitlines()[0]), (1, "Untagged: a:1"),
          "one that fails keeps no other")


@suite.test
def keeps_what_another_image_has_too(store):
    base = tar_of(("base", b"b" * 1000))
    one, two = Image(base, tar_of(("one", b"1"))), Image(base, tar_of(("two", b"2")))
    load(store, one, "one:1")
    load(store, two, "two:1")
    deleted = store.does("rmi", "one:1").split()
    expect(one.config["rootfs"]["diff_ids"][0] not in deleted, "the base was deleted")
    with store.tree("two:1") as tree:
        equal((tree / "base").read_bytes(), b"b" * 1000)
    store.check()


def run(store, *words):
    return store.does("run", *words)


@suite.test
def keeps_what_containers_use_and_names_them(store):
    store.does("load", "-i", image_file())
    image_id = store.does("images", "-q").strip()
    store.does("tag", image_id, "app:1")
    store.does("rmi", "busybox")
    equal(run(store, "--name", "user", "app:1", "echo", "up"), "up\n")
    store.refuses("rmi", "app:1", because="the container user uses")
    store.refuses("rmi", image_id, because="the stopped container user uses it")
    equal(store.names(), ["app:1"], "nothing was removed")
    equal(store.does("image", "prune", "--all", "--force").splitlines()[-1],
          "Total reclaimed space: 0B")
    layers = store.inspect("app:1")["RootFS"]["Layers"]
    # By force the name goes, and what the container needs stays.
    equal(store.does("rmi", "--force", "app:1"), "Untagged: app:1\n")
    equal(store.names(), ["<none>:<none>"])
    expect((store.root / "layers" / layers[0][7:]).is_dir(), "the layer of a container is gone")
    lines = store.does("rmi", "--force", image_id).splitlines()
    equal(len(lines), 1, f"no layer of a container's: {lines}")
    expect((store.root / "layers" / layers[0][7:]).is_dir(), "the layer of a container is gone")
    store.does("rm", "user")
    store.does("image", "prune", "--force")
    equal(store.left(), [], "left on the disk")


@suite.test
def runs_images_of_the_store_and_what_is_built_in(store):
    image = store.directory / "busybox.tar"
    image.write_bytes(open(image_file(), "rb").read())
    equal(store.does("run", "--rm", "busybox", "echo", "built in"), "built in\n")
    equal(store.names(), [], "an image by its path is not listed")
    expect("Images by path     1" in store.does("system", "df"), "but counted")
    store.does("load", "-i", image)
    image_id = store.does("images", "-q").strip()
    store.does("tag", image_id, "localhost/mine:2")
    for name in (image_id, "localhost/mine:2", "mine:2", image_id[:5]):
        equal(store.does("run", "--rm", name, "echo", "up"), "up\n", name)
    # The store's own wins over what came with Bulkhead.
    load(store, small_image(), "busybox:latest")
    store.refuses("run", "--rm", "busybox", "true", code=127)
    store.refuses("run", "--rm", "--pull", "never", "absent:1", "true", code=125,
                  because="no image")
    # Layers that were lost are made again from their blobs.
    for layer in store.inspect("mine:2")["RootFS"]["Layers"]:
        path = store.root / "layers" / layer[7:]
        path.rename(store.directory / "lost")
    equal(store.does("run", "--rm", "mine:2", "echo", "again"), "again\n")
    store.does("image", "prune", "--force")
    expect("Images by path     0" in store.does("system", "df"), "pruned")
    store.check()


@suite.test
def what_is_built_in_is_an_image_like_others(store):
    equal(store.names(), [], "nobody has named it")
    store.refuses("rmi", "busybox", because="no such image")
    expect("busybox 1." in store.does("history", "--no-trunc", "busybox"), "its history")
    equal(store.names(), ["busybox:latest"])
    equal(store.does("image", "inspect", "--format", "{{.RepoTags}}", "busybox"), "[busybox:latest]\n")
    store.does("tag", "busybox", "localhost/base:2")
    store.does("save", "--output", store.directory / "saved.tar", "localhost/base:2")
    store.does("rmi", "busybox", "localhost/base:2")
    equal(store.names(), [], "it is gone from the store")
    equal(store.does("run", "--rm", "busybox", "echo", "built in"), "built in\n")
    store.does("tag", "busybox", "again:1")
    equal(store.names(), ["again:1", "busybox:latest"])
    store.check()


@suite.test
def prunes_by_age_and_label(store):
    load(store, small_image(b"1", labels={"keep": "yes"}, created="2020-01-01T00:00:00Z"))
    load(store, small_image(b"2", created="2024-01-01T00:00:00Z"))
    load(store, small_image(b"3", created="2020-01-01T00:00:00Z"), "named:1")
    def prune(*words):
        return store.does("image", "prune", "--force", *words).count("deleted: sha256:")
    equal(prune("--filter", "label=absent"), 0)
    equal(prune("--filter", "until=2021-01-01", "--filter", "label!=keep"), 0)
    equal(prune("--filter", "until=2021-01-01"), 2, "the image and its layer")
    equal(len(store.names()), 2)
    equal(prune(), 2)
    equal(store.names(), ["named:1"])
    equal(prune("--all"), 2)
    equal(store.left(), [])
    store.refuses("image", "prune", "--filter", "colour=red", code=125, because="colour")
    done = store.call("image", "prune", input="n\n")
    expect("[y/N]" in done.stdout and "reclaimed" not in done.stdout, done.stdout)


@suite.test
def inspects_with_dockers_fields(store):
    image = small_image(labels={"a": "b"}, User="1000", ExposedPorts={"80/tcp": {}},
                        Entrypoint=["/e"], WorkingDir="/w")
    load(store, image, "one:1", "two:2")
    seen = store.inspect("one:1")
    equal(seen["Id"], "sha256:" + image.id)
    equal(seen["RepoTags"], ["one:1", "two:2"])
    equal(seen["RepoDigests"], [])
    # As Docker: all fields of a configuration, whatever the image says.
    said = image.config["config"]
    equal({name: seen["Config"].get(name) for name in said}, said)
    equal({name: value for name, value in seen["Config"].items() if value and name not in said}, {})
    expect({"Hostname", "Tty", "Volumes", "OnBuild"} <= set(seen["Config"]), seen["Config"])
    equal((seen["Os"], seen["Architecture"]), ("linux", image.config["architecture"]))
    equal(seen["Created"], image.config["created"])
    equal(seen["RootFS"], {"Type": "layers", "Layers": image.config["rootfs"]["diff_ids"]})
    equal(seen["Size"], 1)
    done = store.call("image", "inspect", "absent", "one:1")
    equal((done.returncode, len(json.loads(done.stdout))), (1, 1), "what is there is printed")
    equal(json.loads(store.call("inspect", "absent").stdout), [])


@suite.test
def tells_the_history(store):
    image = Image(tar_of(("a", b"a" * 3000)), tar_of(("b", b"b" * 20)), history=[
        {"created": "2020-01-01T00:00:00Z", "created_by": "/bin/sh -c #(nop) ADD file:x in / "},
        {"created": "2020-01-01T00:00:00Z", "created_by": "ENV " + "long " * 40,
         "empty_layer": True, "comment": "a comment"},
        {"created": "2024-01-01T00:00:00Z", "created_by": "RUN \x1b[31mred\tand\ntabs"}])
    load(store, image, "one:1")
    lines = store.does("history", "one:1").splitlines()
    equal(lines[0].split(), ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"])
    equal([line.split()[0] for line in lines[1:]], [image.id[:12], "<missing>", "<missing>"])
    expect(" 20B " in lines[1] and " 0B " in lines[2] and " 3kB " in lines[3], lines)
    expect("…" in lines[2] and "a comment" in lines[2], lines[2])
    expect("\x1b" not in "".join(lines), "a terminal is steered")
    expect("long long" * 3 not in lines[2] and "long " * 39 in
           store.does("history", "--no-trunc", "one:1"), "not cut")
    equal(store.does("history", "-q", "one:1").split(), [image.id[:12], "<missing>", "<missing>"])
    expect("2020-01-01T00:00:00Z" in store.does("history", "--human=false", "one:1"), "dates")
    expect("\n3000" in store.does("history", "--human=false", "--format", "{{.Size}}", "one:1"), "bytes")


@suite.test
def says_how_much_room_it_takes(store):
    base = tar_of(("base", b"b" * 100_000))
    load(store, Image(base, tar_of(("1", b"1" * 5000))), "one:1")
    load(store, Image(base, tar_of(("2", b"2" * 7000))), "two:1")
    rows = [json.loads(line) for line in store.does("system", "df", "--format", "json").splitlines()]
    equal([row["Type"] for row in rows],
          ["Images", "Containers", "Local Volumes", "Images by path", "Broken downloads"])
    equal((rows[0]["TotalCount"], rows[0]["Active"]), ("2", "0"))
    expect(rows[0]["Reclaimable"].endswith("(100%)"), rows[0])
    detail = store.does("system", "df", "-v")
    expect(re.search(r"one +1 +\w{12} +\d+ \w+ ago +\S+ +2\d\dkB +\S+ +0\n", detail), detail)
    (store.root / "blobs/partial" / ("0" * 64)).write_bytes(b"half")
    expect("4B (100%)" in store.does("system", "df"), "downloads that broke off")
    store.does("image", "prune", "--force")
    expect("4B" not in store.does("system", "df"), "pruned")


if __name__ == "__main__":
    sys.exit(main(suite))
