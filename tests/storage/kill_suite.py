#!/usr/bin/env python3
"""SIGKILL at random moments, crowds, and full disks: what was whole stays whole, and nothing half-done
is taken for whole."""

import os
import subprocess
import sys

from image_maker import Image, tar_of
from store_support import FULL, Suite, equal, expect, main
from support.kills import Kills, settled, timed

suite = Suite("kill")
ROUNDS = 500 if FULL else 12


def image_of(number, files=60):
    base = tar_of(*((f"base/{i}", b"b" * 3000) for i in range(files)))
    return Image(base, tar_of((f"own/{number}", str(number).encode() * 2000)), compression="gzip")


def campaign(store, prepare, victim, kept):
    """`prepare()` makes what the victim needs, `kept` are names that must stay whole."""
    times = []
    for _ in range(3):
        prepare()
        times.append(timed(victim))
    kills = Kills(min(times))
    for _ in range(ROUNDS):
        prepare()
        kills.kill(victim)
        settled(store.root)
        store.check("after the kill")
        names = store.names()
        for name in kept:
            expect(name in names, f"{name} is lost: {names}")
            store.does("save", name, stdout=subprocess.DEVNULL)
    print(f"{kills.hits} of {ROUNDS} kills met a living process", flush=True)
    expect(kills.hits >= ROUNDS // 4, f"only {kills.hits} of {ROUNDS} kills met a living process")
    store.does("image", "prune", "--force")
    equal([path.name for path in (store.root / "trash").iterdir()], ["spare"], "left in trash")
    for path in ("staging", "trash/spare", "claims"):
        equal(list((store.root / path).iterdir()), [], f"left in {path}")


def keep_one(store):
    image = image_of("kept")
    store.does("load", "-i", image.write_docker_archive(store.directory / "kept", "kept:1"))
    return image_of("victim").write_docker_archive(store.directory / "victim", "victim:1")


@suite.test
def load_killed_at_any_moment(store):
    archive = keep_one(store)

    def prepare():
        if "victim:1" in store.names():
            store.does("rmi", "victim:1")

    campaign(store, prepare, store.command("load", "-i", archive), ["kept:1"])


@suite.test
def rmi_killed_at_any_moment(store):
    archive = keep_one(store)
    campaign(store, lambda: store.does("load", "-i", archive), store.command("rmi", "victim:1"),
             ["kept:1"])


@suite.test
def prune_killed_at_any_moment(store):
    archive = keep_one(store)

    def prepare():
        store.does("load", "-i", archive)
        # By its name another image has taken, it has none left.
        store.does("tag", "kept:1", "victim:1")

    campaign(store, prepare, store.command("image", "prune", "--force"), ["kept:1", "victim:1"])


@suite.test
def repair_killed_at_any_moment(store):
    keep_one(store)
    layer = store.root / "layers" / store.inspect("kept:1")["RootFS"]["Layers"][0][7:]

    def damage():
        if not layer.exists():
            return
        path = layer / "base/1"
        path.unlink(missing_ok=True)

    damage()
    kills = Kills(timed(store.command("system", "check", "--repair")) * 1.2)
    for _ in range(ROUNDS // 2):
        damage()
        kills.kill(store.command("system", "check", "--repair"))
        settled(store.root)
    equal(store.call("system", "check", "--repair").returncode, 0)
    store.check("after the repairs")
    with store.tree("kept:1") as tree:
        equal(len(list((tree / "base").iterdir())), 60)


@suite.test
def ten_processes_load_and_remove_the_same_images(store):
    archives = [image_of(i, files=20).write_docker_archive(store.directory / f"a{i}", f"n:{i}")
                for i in range(3)]
    keep_one(store)
    script = """
        cd "$DIRECTORY"
        for i in $(seq "$ROUNDS"); do
          n=$(( (i + $1) % 3 ))
          "$@" load -i a$n >/dev/null || exit 1
          [ "$(( (i + $1) % 2 ))" = 0 ] && "$@" rmi n:$n >/dev/null 2>&1
          "$@" images >/dev/null || exit 2
          [ "$(( i % 4 ))" = 0 ] && { "$@" image prune --force >/dev/null || exit 3; }
        done
        exit 0
        """.replace('"$@"', '"$BULKHEAD" --root "$ROOT" --runroot "$ROOT-run"')
    environment = {**os.environ, "DIRECTORY": str(store.directory), "ROOT": str(store.root),
                   "BULKHEAD": store.command()[0], "ROUNDS": "40" if FULL else "8"}
    crowd = [subprocess.Popen(["bash", "-c", script, "bash", str(i)], env=environment,
                              stderr=subprocess.PIPE, text=True) for i in range(10)]
    for process in crowd:
        _, said = process.communicate(timeout=240)
        equal(process.returncode, 0, said[-500:])
    store.check("after the crowd")
    for name in store.names():
        if name != "<none>:<none>":
            store.does("save", name, stdout=subprocess.DEVNULL)
    for archive in archives:
        store.does("load", "-i", archive)
    equal([name for name in store.names() if name.startswith("n:")], ["n:0", "n:1", "n:2"])
    store.does("image", "prune", "--all", "--force")
    equal(store.left(), [], "left")


@suite.test
def two_loads_of_one_layer_do_the_work_once(store):
    image = image_of(1, files=2000)
    archive = image.write_docker_archive(store.directory / "a", "n:1")
    both = [subprocess.Popen(store.command("load", "-i", archive), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in both:
        out, said = process.communicate(timeout=120)
        equal((process.returncode, out), (0, "Loaded image: n:1\n"), said)
    store.check()


@suite.test
def a_full_disk_at_every_write(store):
    archive = image_of("large", files=300).write_docker_archive(store.directory / "a", "n:1")
    kept = keep_one(store)
    mount = store.directory / "small"
    mount.mkdir()
    failed, most = 0, 3200
    step = 64 if FULL else 500
    for size in range(200, most, step):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k,mode=700", "small",
                        str(mount)], check=True)
        try:
            store.root = mount / "store"
            done = store.call("load", "-i", kept)
            loaded = done.returncode == 0
            done = store.call("load", "-i", archive)
            if done.returncode != 0:
                failed += 1
                expect("No space left on device" in done.stderr, f"{size}k: {done.stderr}")
            if not store.root.exists():
                continue
            free = [entry.name for entry in store.root.iterdir()]
            if loaded:
                # Also a check needs no room that is not there.
                expect("victim:1" in store.names(), f"{size}k: lost; {free}")
                store.check(f"{size}k")
                equal(list((store.root / "staging").iterdir()), [], f"{size}k: left in staging")
        finally:
            subprocess.run(["umount", str(mount)], check=True)
    expect(failed > 0, "no disk was full")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=700", "small", str(mount)],
                   check=True)
    try:
        store.root = mount / "store"
        store.does("load", "-i", archive)
        # What is removed needs no room either.
        filler = mount / "filler"
        subprocess.run(["sh", "-c", f"cat /dev/zero > {filler}"], stderr=subprocess.DEVNULL,
                       check=False)
        store.does("rmi", "n:1")
        equal(store.left(), [], "left")
    finally:
        subprocess.run(["umount", str(mount)], check=True)


if __name__ == "__main__":
    sys.exit(main(suite))
