#!/usr/bin/env python3
"""Volumes: the commands on them, and what a container has of them, as Docker's users expect it."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time

from life_support import ENGINE_FAILURE, IDLE, container, run_suite, until
from support.harness import Skip, Suite, equal, expect
from volumes_support import clear_volumes, data_of, make_image, volumes_of

suite = Suite("volumes")


def says(host, *words):
    return host.good("run", "--rm", *words)


@suite.test
def the_commands_are_dockers(host):
    equal(host.good("volume", "create", "data", "--label", "a=b", "-l", "c"), "data")
    equal(host.good("volume", "create", "data"), "data", "again")
    equal(host.good("volume", "create", "--name", "other"), "other")
    anonymous = host.good("volume", "create")
    expect(re.fullmatch("[0-9a-f]{64}", anonymous), anonymous)
    lines = [line.split() for line in host.good("volume", "ls").splitlines()]
    equal(lines[0], ["DRIVER", "VOLUME", "NAME"])
    expect(["local", "data"] in lines and ["local", "other"] in lines, lines)
    told = json.loads(host.good("volume", "inspect", "data"))
    created = told[0].pop("CreatedAt")
    expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created), created)
    equal(told, [{"Driver": "local", "Labels": {"a": "b", "c": ""}, "Name": "data", "Options": None,
                  "Mountpoint": str(data_of(host, "data")), "Scope": "local"}])
    equal(host.good("volume", "inspect", "-f", "{{.Name}} {{.Labels.a}}", "data"), "data b")
    equal(host.good("inspect", "--type", "volume", "--format", "{{.Name}}", "data"), "data")
    for filters, expected in ((("name=at",), ["data"]), (("label=a=b",), ["data"]),
                              (("label=a=x",), []), (("dangling=true", "name=data"), ["data"]),
                              (("dangling=false",), []), (("driver=local", "name=other"), ["other"]),
                              (("name=data", "name=other"), ["data", "other"])):
        words = [word for text in filters for word in ("--filter", text)]
        equal(host.good("volume", "ls", "-q", *words).split(), expected, filters)
    equal(host.good("volume", "ls", "--format", "{{.Name}}:{{.Scope}}", "-f", "name=data"), "data:local")
    equal(json.loads(host.good("volume", "ls", "--format", "json", "-f", "name=data"))["Labels"], "a=b,c=")
    pruned = host.good("volume", "prune", "-f")
    expect(pruned.startswith(f"Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: "), pruned)
    equal(volumes_of(host), ["data", "other"], "those with names stay")
    equal(host.good("volume", "rm", "data", "other").split(), ["data", "other"])
    done = host.call("volume", "inspect", "data")
    equal((done.returncode, done.stdout.strip()), (1, "[]"))
    expect("data" in done.stderr, done.stderr)
    host.refused("volume", "rm", "data", words=["no volume"])
    equal(host.good("volume", "rm", "--force", "data"), "data")
    host.refused("volume", "ls", "--filter", "color=red", code=ENGINE_FAILURE, words=["color"])
    for words in (("-d", "nfs", "x1"), ("-o", "banana=1", "x1"), ("a", "b"), ("-l", "=x", "x1")):
        host.refused("volume", "create", *words, code=ENGINE_FAILURE)
    equal(host.call("volume", "create", "--help").returncode, 0)
    equal(volumes_of(host), [])


@suite.test
def what_is_written_stays_and_belongs_to_whom_one_expects(host):
    says(host, "-v", "data:/data", "busybox", "sh", "-c",
         "echo kept >/data/file && chown 1000:1000 /data/file && mkdir /data/own")
    equal(volumes_of(host), ["data"], "made by its use")
    # On the disk are the ids that containers see, whatever range of the host's each has.
    status = os.stat(data_of(host, "data") / "file")
    equal((status.st_uid, status.st_gid), (1000, 1000))
    with container(host, "-v", "data:/data") as one, container(host, "-v", "data:/x:ro") as two:
        def range_of(identity):
            with open(f"/proc/{host.told(identity, '{{.State.Pid}}')}/uid_map",
                      encoding="utf-8") as ids:
                return ids.read().split()[1]
        expect(range_of(one) != range_of(two), "two containers have two ranges of ids")
        for identity, place in ((one, "/data"), (two, "/x")):
            equal(host.good("exec", identity, "stat", "-c", "%u:%g", f"{place}/file"), "1000:1000")
            equal(host.good("exec", identity, "stat", "-c", "%u:%g", f"{place}/own"), "0:0")
        equal(host.call("exec", two, "touch", "/x/no").returncode, 1, "read-only")
        host.good("exec", "--user", "1000:1000", one, "sh", "-c", "echo more >>/data/file")
        equal(host.good("exec", two, "cat", "/x/file"), "kept\nmore")
        options = host.good("exec", one, "grep", " /data ", "/proc/mounts").split()[3].split(",")
        expect({"nosuid", "nodev"} <= set(options), options)
    clear_volumes(host)


@suite.test
def another_runtime_is_given_them_too(host):
    runtime = shutil.which("runc")
    if runtime is None:
        raise Skip("runc is not installed")
    host.good("run", "-d", "--runtime", runtime, "--name", "foreign", "-v", "data:/data", "busybox", *IDLE)
    host.good("exec", "foreign", "sh", "-c", "echo by >/data/file; chown 1000:7 /data/file")
    host.good("rm", "-f", "foreign")
    equal(says(host, "-v", "data:/d", "busybox", "stat", "-c", "%u:%g", "/d/file"), "1000:7")
    status = os.stat(data_of(host, "data") / "file")
    equal((status.st_uid, status.st_gid), (1000, 7), "on the disk")
    clear_volumes(host)


@suite.test
def an_empty_one_gets_what_the_image_has(host):
    def prepare(root):
        place = root / "srv/www"
        place.mkdir(parents=True)
        (place / "index").write_text("from the image")
        (place / "link").symlink_to("index")
        os.chown(place, 33, 34)
        os.chown(place / "index", 35, 36)
        place.chmod(0o1775)
    image = make_image(host, "web:1", prepare=prepare)
    script = "stat -c '%u:%g %a' /srv/www /srv/www/index; cat /srv/www/link"
    for words in (("-v", "web:/srv/www"), ("--mount", "source=web2,target=/srv/www")):
        equal(says(host, *words, image, "sh", "-c", script).split("\n"),
              ["33:34 1775", "35:36 644", "from the image"])
    says(host, "-v", "web:/srv/www", image, "rm", "/srv/www/index")
    equal(says(host, "-v", "web:/srv/www", image, "ls", "/srv/www"), "link", "only an empty one")
    for words in (("-v", "bare:/srv/www:nocopy"),
                  ("--mount", "source=bare2,target=/srv/www,volume-nocopy")):
        equal(says(host, *words, image, "ls", "/srv/www"), "", "nocopy")
    equal(says(host, "-v", "else:/no/such/place", image, "stat", "-c", "%u %a", "/no/such/place"), "0 755")
    # The layers below are hidden by those above, as in the container.
    equal(host.good("run", "--name", "base", "-d", image, "true") != "", True)
    clear_volumes(host)


@suite.test
def anonymous_ones_go_with_the_container(host):
    image = make_image(host, "app:1", ["VOLUME /data", "VOLUME [\"/logs\"]"],
                       lambda root: (root / "data").mkdir() or (root / "data/seed").write_text("s"))
    equal(says(host, "-v", "/more", image, "cat", "/data/seed"), "s")
    equal(volumes_of(host), [], "--rm takes them away")
    identity = host.good("create", "-v", "/more", "-v", "named:/logs", image)
    names = volumes_of(host)
    equal(len(names), 3, names)
    mounts = {mount["Destination"]: mount for mount in host.inspected(identity)["Mounts"]}
    equal(sorted(mounts), ["/data", "/logs", "/more"])
    equal(mounts["/logs"]["Name"], "named", "the flag comes before the image's own")
    for mount in mounts.values():
        equal((mount["Type"], mount["Driver"], mount["RW"]), ("volume", "local", True))
        equal(mount["Source"], str(data_of(host, mount["Name"])))
    equal(host.good("volume", "prune", "-a", "-f"), "Total reclaimed space: 0B", "in use, all of them")
    host.good("rm", identity)
    equal(volumes_of(host), names, "rm alone leaves them")
    host.good("volume", "prune", "-f")
    equal(volumes_of(host), ["named"])
    host.good("rm", "-v", host.good("create", "-v", "named:/logs", image))
    equal(volumes_of(host), ["named"], "rm -v takes what nobody named")
    host.good("run", "-d", "--rm", "--name", "short", image, "true")
    host.call("wait", "short")
    until(lambda: volumes_of(host) == ["named"], "run -d --rm")
    host.refused("run", "-v", "named:/x", "-v", "/srv:/x", "busybox", code=ENGINE_FAILURE,
                 words=["two mounts"])
    done = host.call("run", "-d", "-v", "/x", "busybox", "no-such-program")
    equal(done.returncode, 127)
    equal(volumes_of(host), ["named"], "a start that failed leaves none")
    clear_volumes(host)


@suite.test
def one_that_is_used_cannot_be_removed(host):
    with container(host, "--name", "user", "-v", "data:/data") as identity:
        host.refused("volume", "rm", "data", words=["in use", identity[:12]])
        host.refused("volume", "rm", "-f", "data", words=["in use"])
        host.good("stop", "-t", "0", "user")
        host.refused("volume", "rm", "data", words=[identity[:12]])
        equal(host.good("ps", "-aq", "--no-trunc", "--filter", "volume=data"), identity)
        equal(host.good("ps", "-aq", "--filter", "volume=/data", "--no-trunc"), identity)
        equal(host.good("ps", "-aq", "--filter", "volume=other"), "")
        equal(host.good("ps", "-a", "--format", "{{.Mounts}}"), "data")
        equal(host.good("volume", "ls", "--format", "{{.Name}} {{.Links}}"), "data 1")
        # A stopped one starts again with the same content.
        host.good("start", "user")
        host.good("exec", "user", "touch", "/data/again")
        host.good("restart", "-t", "0", "user")
        equal(host.good("exec", "user", "ls", "/data"), "again")
    equal(host.good("volume", "rm", "data"), "data")


@suite.test
def a_part_and_another_containers_can_be_mounted(host):
    says(host, "-v", "data:/data", "busybox", "sh", "-c", "mkdir -p /data/a/b; echo x >/data/a/b/f")
    equal(says(host, "--mount", "source=data,target=/p,volume-subpath=a/b,ro", "busybox", "cat", "/p/f"), "x")
    host.refused("run", "--rm", "--mount", "source=data,target=/p,volume-subpath=no", "busybox",
                 code=ENGINE_FAILURE, words=["data", "no"])
    place = host.directory / "bound"
    place.mkdir()
    with container(host, "--name", "first", "-v", "data:/data", "-v", "/own", "-v", f"{place}:/b:ro"):
        host.good("exec", "first", "touch", "/own/mine")
        equal(says(host, "--volumes-from", "first", "busybox", "sh", "-c", "ls /own; touch /data/t; ls /b"),
              "mine")
        equal(host.call("run", "--rm", "--volumes-from", "first:ro", "busybox", "touch",
                        "/data/t").returncode, 1)
        equal(host.call("run", "--rm", "--volumes-from", "first", "busybox", "touch", "/b/t").returncode, 1,
              "read-only stays so")
        equal(says(host, "--volumes-from", "first", "-v", "else:/data", "busybox", "ls", "/data"), "",
              "the flag comes before")
        equal(host.good("exec", "first", "ls", "/own"), "mine", "--rm leaves what others use")
        host.refused("run", "--volumes-from", "first", "--tenant", "acme", "busybox", code=ENGINE_FAILURE,
                     words=["tenant"])
        host.refused("run", "--volumes-from", "nobody", "busybox", code=ENGINE_FAILURE, words=["nobody"])
        host.refused("run", "--volumes-from", "first:x", "busybox", code=ENGINE_FAILURE, words=["ro or rw"])
    clear_volumes(host)


@suite.test
def a_size_is_a_limit(host):
    done = host.call("volume", "create", "--opt", "size=16m", "small")
    if done.returncode != 0 and ("loop" in done.stderr or "mkfs" in done.stderr):
        raise Skip(done.stderr.strip())
    equal(done.returncode, 0, done.stderr)
    done = host.call("run", "--rm", "-v", "small:/s", "busybox", "dd", "if=/dev/zero", "of=/s/big", "bs=1M",
                     "count=64")
    expect(done.returncode == 1 and "No space left" in done.stderr, done)
    with container(host, "-v", "small:/s") as one, container(host, "-v", "small:/t") as two:
        host.good("exec", one, "sh", "-c", "rm /s/big; echo shared >/s/f")
        equal(host.good("exec", two, "cat", "/t/f"), "shared", "one file system for both")
    equal(says(host, "-v", "small:/s", "busybox", "cat", "/s/f"), "shared", "and it stays")
    equal(says(host, "--mount", "source=small,target=/s,volume-subpath=f", "busybox", "cat", "/s"), "shared")
    equal(host.good("volume", "inspect", "-f", "{{json .Options}}", "small"), '{"size":"16m"}')
    host.refused("volume", "create", "--opt", "size=32m", "small", words=["other options"])
    # Nothing is limited by a word that only looks like a limit.
    says(host, "-v", "large:/s", "busybox", "dd", "if=/dev/zero", "of=/s/big", "bs=1M", "count=32")
    clear_volumes(host)


@suite.test
def one_in_memory_lasts_as_long_as_it_is_used(host):
    words = [word for text in ("type=tmpfs", "device=tmpfs", "o=size=1m,uid=1000,mode=0700")
             for word in ("-o", text)]
    host.good("volume", "create", *words, "fast")

    def mounted():
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            return any(str(host.store / "volumes") in line for line in table)
    with container(host, "--user", "1000", "-v", "fast:/f") as one:
        host.good("exec", one, "touch", "/f/mine")
        equal(says(host, "-v", "fast:/g:ro", "busybox", "stat", "-c", "%u", "/g/mine"), "1000", "shared")
        done = host.call("exec", one, "dd", "if=/dev/zero", "of=/f/big", "bs=1M", "count=4")
        expect(done.returncode == 1 and "No space left" in done.stderr, done)
        expect(mounted(), "positive control: while it is used it is mounted")
        host.good("restart", "-t", "0", one)
        equal(host.good("exec", one, "ls", "/f"), "", "nobody used it for a moment")
    expect(not mounted(), "nothing is left mounted")
    equal(host.call("run", "--rm", "-v", "fast:/f", "busybox", "no-such").returncode, 127)
    equal(host.call("run", "-d", "-v", "fast:/f", "busybox", "no-such").returncode, 127)
    expect(not mounted(), "a start that failed leaves nothing")
    with container(host, "-v", "fast:/f") as one:
        os.kill(host.monitor(one), 9)
        os.kill(int(host.told(one, "{{.State.Pid}}")), 9)
        until(lambda: host.status(one) == "exited", "the record is repaired")
        expect(not mounted(), "nor does a killed monitor")
    host.good("volume", "rm", "fast")
    clear_volumes(host)


@suite.test
def a_directory_of_the_host_has_a_name(host):
    place = host.directory / "named-place"
    place.mkdir()
    (place / "there").write_text("host")
    options = [word for text in ("type=none", "o=bind,ro", f"device={place}") for word in ("-o", text)]
    host.good("volume", "create", *options, "www")
    equal(says(host, "-v", "www:/w", "busybox", "cat", "/w/there"), "host")
    equal(host.call("run", "--rm", "-v", "www:/w", "busybox", "touch", "/w/x").returncode, 1, "ro")
    explained = host.good("explain", "run", "-v", "www:/w", "-v", "data:/d", "busybox")
    expect(f'the host\'s "{place}", to be read' in explained, explained)
    expect('the volume "data"' in explained, explained)
    equal(volumes_of(host), ["www"], "explain makes nothing")
    for words, hint in ((("type=nfs", "device=:/x", "o=addr=1"), "o=bind"),
                        (("type=none", "o=bind", "device=/no/such"), "make it first")):
        done = host.call("volume", "create", *[w for text in words for w in ("-o", text)], "bad")
        expect(done.returncode == 1 and hint in done.stderr, done)
    clear_volumes(host)
    equal(os.listdir(place), ["there"], "what is the host's stays")


@suite.test
def export_and_import(host):
    says(host, "-v", "data:/d", "busybox", "sh", "-c",
         "cd /d; mkdir sub; echo text >sub/file; chown 5:6 sub/file; ln sub/file hard; ln -s sub/file soft; "
         "mkfifo pipe; chmod 4755 hard; echo x >.wh.name")
    archive = host.directory / "data.tar"
    host.good("volume", "export", "--output", archive, "data")
    with tarfile.open(archive) as tar:
        names = {member.name: member for member in tar.getmembers()}
    equal(sorted(names), [".", "./.wh.name", "./hard", "./pipe", "./soft", "./sub", "./sub/file"])
    equal((names["./sub/file"].uid, names["./sub/file"].gid), (5, 6))
    compressed = subprocess.run(["gzip", "-c", archive], stdout=subprocess.PIPE, check=True).stdout
    script = "cd /d; find . | sort; cat soft; stat -c '%u:%g %h %a' hard; readlink soft"
    expected = says(host, "-v", "data:/d", "busybox", "sh", "-c", script)
    packed = host.directory / "data.tar.gz"
    packed.write_bytes(compressed)
    for name, words, file in (("copy", (archive,), os.devnull), ("piped", (), archive),
                              ("zipped", ("-",), packed)):
        host.good("volume", "create", name)
        with open(file, "rb") as given:
            done = host.call("volume", "import", name, *words, stdin=given)
        equal(done.returncode, 0, done.stderr)
        equal(says(host, "-v", f"{name}:/d", "busybox", "sh", "-c", script), expected, name)
    host.refused("volume", "import", "copy", archive, words=["not empty"])
    host.refused("volume", "import", "nobody", archive, words=["nobody"])
    host.refused("volume", "export", "nobody", words=["nobody"])
    host.good("volume", "create", "torn")
    torn = host.directory / "torn.tar"
    torn.write_bytes(archive.read_bytes()[:1700])
    host.refused("volume", "import", "torn", torn)
    equal(says(host, "-v", "torn:/d", "busybox", "ls", "-A", "/d"), "", "whole or not at all")
    hostile = io.BytesIO()
    with tarfile.open(fileobj=hostile, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../escaped"))
    torn.write_bytes(hostile.getvalue())
    host.refused("volume", "import", "torn", torn, words=[".."])
    expect(not list(host.store.rglob("escaped")), "nothing beside the volume")
    clear_volumes(host)


@suite.test
def events_and_copies_know_them(host):
    begin = int(time.time()) - 1
    host.good("volume", "create", "told")
    with container(host, "-v", "told:/d", "-v", "fresh:/n:ro") as identity:
        host.good("exec", identity, "sh", "-c", "echo in >/d/file")
        host.good("cp", f"{identity}:/d/file", host.directory / "one")
        host.good("stop", "-t", "0", identity)
        host.good("cp", f"{identity}:/d/file", host.directory / "two")
        host.good("cp", host.directory / "two", f"{identity}:/d/three")
    equal((host.directory / "one").read_text(), "in\n")
    equal((host.directory / "two").read_text(), "in\n")
    equal(os.stat(data_of(host, "told") / "three").st_uid, 0)
    host.good("volume", "rm", "told", "fresh")
    lines = host.good("events", "--since", str(begin), "--until", str(int(time.time()) + 1), "--filter",
                      "type=volume", "--format", "{{json .}}").splitlines()
    lines = [line for line in lines if json.loads(line)["Actor"]["ID"] in ("told", "fresh")]
    seen = [(event["Actor"]["ID"], event["Action"]) for event in map(json.loads, lines)]
    equal(seen, [("told", "create"), ("fresh", "create"), ("told", "mount"), ("fresh", "mount"),
                 ("told", "unmount"), ("fresh", "unmount"), ("told", "destroy"), ("fresh", "destroy")])
    mounted = [event["Actor"]["Attributes"] for event in map(json.loads, lines)
               if event["Action"] == "mount"]
    equal([(one["destination"], one["read/write"], one["container"]) for one in mounted],
          [("/d", "true", identity), ("/n", "false", identity)])
    clear_volumes(host)


@suite.test
def room_is_counted_and_pruned(host):
    with container(host, "--name", "keeps", "-v", "data:/d"):
        host.good("exec", "keeps", "dd", "if=/dev/zero", "of=/d/f", "bs=1M", "count=3")
        host.good("volume", "create", "named")
        anonymous = host.good("volume", "create")
        row = next(line for line in host.good("system", "df").splitlines() if "Local Volumes" in line)
        expect(re.match(r"Local Volumes +3 +1 +3\.\d+MB +", row), row)
        details = host.good("system", "df", "-v")
        expect(re.search(r"^data +1 +3\.\d+MB", details, re.MULTILINE), details)
        host.good("create", "--name", "idle", "busybox")
        expect("idle" in host.good("ps", "-a", "--format", "{{.Names}}"), "made")
        equal(volumes_of(host).count(anonymous), 1)
        pruned = host.good("system", "prune", "-f")
        expect("Deleted Containers:" in pruned and "Total reclaimed space: " in pruned, pruned)
        equal(host.good("ps", "-a", "--format", "{{.Names}}"), "keeps")
        equal(len(volumes_of(host)), 3, "volumes only when asked")
        host.good("system", "prune", "--volumes", "-f")
        equal(volumes_of(host), ["data", "named"])
        # Without --force it asks, and no answer is no.
        expect("[y/N]" in host.good("system", "prune", "-a"), "a question")
    clear_volumes(host)


if __name__ == "__main__":
    sys.exit(run_suite(suite))
